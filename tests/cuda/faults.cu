// What the simulator learns by a signal: accesses beside arrays and to nowhere, divisions by zero, stacks that overflow. Each
// becomes an error that names kernel, block, thread and the line of the very instruction, and launches go on working.
#include <cstdlib>
#include <limits>

#include "engine/cuda/sim/guarded_views.h"
#include "tests/cuda/refused.cuh"

namespace {

using namespace ww::cuda;
using harness::Array;
using ww::sim::Order;

const std::string kWriteLine = LINE_BELOW(2);
__global__ void write_at(float* x, int64_t at) {
    if (threadIdx.x == 7) x[at] = 1;
}
const std::string kFirstBranchLine = LINE_BELOW(3), kSecondBranchLine = LINE_BELOW(4);
__global__ void write_either(float* x, int64_t at) {
    const float value = x[threadIdx.x];
    if (value > 2) x[at] = value;
    else x[at + 1] = value;
}
__global__ void write_then_fail(float* x) {
    if (threadIdx.x == 0) x[-1] = 1;
    if (threadIdx.x < 16) return;
    __syncthreads();
}
const std::string kReadLine = LINE_BELOW(2);
__global__ void read_at(const float* x, int64_t at, float* out) {
    if (threadIdx.x == 7) out[0] = x[at];
}
const std::string kAddLine = LINE_BELOW(2);
__global__ void add_at(float* x, int64_t at) {
    if (threadIdx.x == 7) atomicAdd(x + at, 1.0f);
}
const std::string kCopyLine = LINE_BELOW(4);
__global__ void copy_at(const float* x, int64_t at) {
    SharedMemory shared;
    float* tile = shared.take<float, 16>(128);
    if (threadIdx.x == 7) copy_async<4>(shared_address(tile), x + at);
    copy_async_commit();
    copy_async_wait<0>();
}
const std::string kSharedLine = LINE_BELOW(6);
__global__ void shared_write(int at) {
    SharedMemory shared;
    float* a = shared.take<float>(64);
    float* b = shared.take<float>(64);
    b[0] = 0;
    if (threadIdx.x == 3) a[at] = 1;
    __syncthreads();
}
const std::string kSharedReadLine = LINE_BELOW(5);
__global__ void shared_read(int at, float* out) {
    SharedMemory shared;
    shared.take<float>(10);
    float* a = shared.take<float>(64);
    out[threadIdx.x] = a[threadIdx.x == 3 ? at : 0];
}
__global__ void shared_slack(int) {
    SharedMemory shared;
    char* a = shared.take<char, 16>(3);
    if (threadIdx.x == 3) a[3] = 1;
    __syncthreads();
}
const std::string kDivisionLine = LINE_BELOW(2);
__global__ void divide(int* x) {
    if (threadIdx.x == 7) x[1] = 5 / x[0];
}
const std::string kZeroLine = LINE_BELOW(3);
__global__ void divide_by_nothing(int* x) {  // as the compiler sees
    const int all = x[0], rest = all - x[0];
    if (threadIdx.x == 7) x[1] = 5 / rest;
}
const std::string kRemainderLine = LINE_BELOW(3);
__global__ void remainder_of_nothing(int* x) {
    const int all = x[0], rest = all - x[0];
    if (threadIdx.x == 7) x[1] = x[2] % rest;
}
const std::string kNullLine = LINE_BELOW(2);
__global__ void write_nowhere(float*) {
    if (threadIdx.x == 7) *static_cast<float*>(nullptr) = 1;
}
const std::string kLengthLine = LINE_BELOW(2);
__global__ void measure(const char* text, int* out) {
    if (threadIdx.x == 7) out[0] = static_cast<int>(std::strlen(text));
}
const std::string kPrintLine = LINE_BELOW(2);
__global__ void print(FILE* file, const char* text) {
    if (threadIdx.x == 7) fprintf(file, "%d %s\n", 5, text);
}
const std::string kJumpLine = LINE_BELOW(2);
__global__ void jump(void (*to)(), int* out) {
    if (threadIdx.x == 7) to();
    out[threadIdx.x] = 1;
}
__global__ void deep_stack(int* out) {
    volatile char big[70000];
    for (int i = 0; i < 70000; i++) big[i] = static_cast<char>(i);
    out[threadIdx.x] = big[0] + big[69999];
}
__global__ void very_deep_stack(int* out) {  // it could reach over many stacks, of which it touches one far below
    volatile char big[3000000];
    big[threadIdx.x] = 1;
    out[threadIdx.x] = big[threadIdx.x];
}
const std::string kVectorLine = LINE_BELOW(2);
__global__ void load_vector(const float* x, int at, float* out) {
    if (threadIdx.x == 7) *out = reinterpret_cast<const float4*>(x + at)->y;
}
const std::string kNarrowLine = LINE_BELOW(2);
__global__ void store_float(char* x, int at) {
    if (threadIdx.x == 7) *reinterpret_cast<float*>(x + at) = 1;
}
const std::string kSharedVectorLine = LINE_BELOW(4);
__global__ void shared_vector(int at) {
    SharedMemory shared;
    float* a = shared.take<float, 16>(64);
    *reinterpret_cast<float4*>(a + at) = float4{1, 2, 3, 4};
}
__global__ void illegal(int* out) {
    if (threadIdx.x == 7) __builtin_trap();
    out[threadIdx.x] = 1;
}
int __attribute__((noinline)) descend(volatile int* x, int depth) {
    volatile int own[64];
    own[depth % 64] = depth;
    return *x ? descend(x, depth + 1) + own[depth % 64] : 0;
}
__global__ void endless_recursion(int* x) {
    if (threadIdx.x == 0) x[1] = descend(x, 0);
}
__global__ void nothing(int) {}

void globals() {
    harness::sweep([](const char* schedule) {
        const bool ends = ww::sim::ends_at_guard(ww::sim::options());
        auto refused = [&](const char* name, std::vector<std::string> words, std::vector<std::string> seen_late, bool exact,
                           const std::string& line, auto launch_it) {
            if (exact) words.insert(words.end(), {"thread (7, 0, 0)", line});
            harness::must_hold(name, check::text_of<ww::DeviceError>(launch_it), exact ? words : seen_late, schedule);
        };
        Array<float> x(24), odd(5), out(1);
        const std::vector<std::string> write{"kernel write_at, block (0, 0, 0)"}, late{"kernel write_at", "seen after the launch"};
        auto with = [](std::vector<std::string> words, const char* word) { return words.push_back(word), words; };
        auto write_to = [&](Array<float>& array, int64_t at) {
            return [&array, at] { launch<write_at>({1, 32}, array.data(), at); };
        };
        refused("write past", with(write, "access 4 bytes past the end of a block of 96"),
                with(late, "wrote 4 bytes past the end of a block of 96"), ends, kWriteLine, write_to(x, 25));
        refused("write past, odd", with(write, "access 0 bytes past the end of a block of 20"),
                with(late, "wrote 0 bytes past the end of a block of 20"), ends, kWriteLine, write_to(odd, 5));
        refused("write before", with(write, "access 4 bytes before a block of 20"),
                with(late, "wrote 1 bytes before a block of 20"), !ends, kWriteLine, write_to(odd, -1));
        refused("write well before", with(write, "access 1000 bytes before a block of 96"), with(late, "before a block of 96"),
                !ends, kWriteLine, [&] {
                    ww::sim::is_guarded(x.data(), 1, true);  // as a call from Python does
                    launch<write_at>({1, 32}, x.data(), int64_t{-250});
                });
        refused("write a page before", with(write, "access 5000 bytes before a block of 96"), {}, true, kWriteLine,
                write_to(x, -1250));
        refused("write a page past", with(write, "access 5004 bytes past the end of a block of 96"), {}, true, kWriteLine,
                write_to(x, 1275));
        auto read_of = [&](Array<float>& array, int64_t at) {
            return [&array, &out, at] { launch<read_at>({1, 32}, array.data(), at, out.data()); };
        };
        refused("read past", {"kernel read_at", "access 0 bytes past the end of a block of 20"}, {}, ends, kReadLine,
                read_of(odd, 5));
        refused("read before", {"kernel read_at", "access 4 bytes before a block of 96"}, {}, !ends, kReadLine, read_of(x, -1));
        CHECK_IN(schedule, out[0] != out[0]);  // what is not stopped reads NaN
        refused("null", {"kernel write_at", "access to address 0x8, a null pointer, in no block"}, {}, true, kWriteLine,
                [] { launch<write_at>({1, 32}, nullptr, int64_t{2}); });
        refused("far", {"kernel read_at", "in no block: ", " the nearest, of "}, {}, true, kReadLine, read_of(x, int64_t{1} << 45));
#if !defined(__aarch64__)  // which ignores an address's first byte
        refused("nowhere", {"kernel read_at", "in no block"}, {}, true, kReadLine, read_of(x, int64_t{1} << 60));
#endif
        refused("atomic", {"kernel add_at", "access 4000 bytes past the end of a block of 96"}, {}, true, kAddLine,
                [&] { launch<add_at>({1, 32}, x.data(), int64_t{1024}); });
        refused("cp.async", {"kernel copy_at", "access 40000 bytes past the end of a block of 96"}, {}, true, kCopyLine,
                [&] { launch<copy_at>({1, 32, 512}, x.data(), int64_t{10024}); });
        launch<write_at>({1, 32}, x.data(), int64_t{23});
        launch<write_at>({1, 32}, odd.data(), int64_t{0});
        CHECK_IN(schedule, x[23] == 1 && odd[0] == 1);
    });
}

void shared() {
    harness::sweep([](const char* schedule) {
        const bool ends = ww::sim::ends_at_guard(ww::sim::options());
        auto refused = [&](const char* name, std::vector<std::string> words, bool exact, const char* late, const std::string& line,
                           auto launch_it) {
            if (exact) words.insert(words.end(), {"block (0, 0, 0), thread (3, 0, 0) (warp 0, lane 3)", line});
            std::string text = check::text_of<ww::DeviceError>(launch_it);
            harness::must_hold(name, text, exact ? words : std::vector<std::string>{late}, schedule);
            CHECK_IN(schedule, exact || text.find("thread (") == std::string::npos);  // who it was is not known, and not said
        };
        auto write_to = [](int at) { return [at] { launch<shared_write>({1, 64, 512}, at); }; };
        refused("past", {"kernel shared_write", "access 0 bytes past the end of array 0 (256 bytes)"}, ends,
                "wrote 0 bytes past the end of array 0 (256 bytes), seen in __syncthreads at faults.cu:", kSharedLine,
                write_to(64));
        refused("further past", {"access 40 bytes past the end of array 0"}, ends, "wrote 40 bytes past the end of array 0",
                kSharedLine, write_to(74));
        refused("far past", {"past the end of array 0"}, true, "", kSharedLine, write_to(20000));
        refused("before", {"access 4 bytes before array 0 (256 bytes)"}, !ends, "wrote 1 bytes before array 0 (256 bytes), seen in",
                kSharedLine, write_to(-1));
        refused("well before", {"access 2000 bytes before array 0"}, !ends, "before array 0 (256 bytes), seen at its end",
                kSharedLine, write_to(-500));
        Array<float> out(64);
        auto read_of = [&](int at) { return [&out, at] { launch<shared_read>({1, 32, 1024}, at, out.data()); }; };
        refused("read past", {"kernel shared_read", "access 0 bytes past the end of array 1 (256 bytes)"}, ends, "",
                kSharedReadLine, read_of(64));
        refused("read before", {"access 4 bytes before array 1 (256 bytes)"}, !ends, "", kSharedReadLine, read_of(-1));
        harness::must_hold("slack", check::text_of<ww::DeviceError>([] { launch<shared_slack>({1, 32, 16}, 0); }),
                           {"kernel shared_slack, block (0, 0, 0): ", "wrote 0 bytes past the end of array 0 (3 bytes), seen in"},
                           schedule);
    });
}

void others() {
    Array<int> x(32);
#if defined(__x86_64__)  // elsewhere such a division gives 0
    harness::refused("division", {"kernel divide", "thread (7, 0, 0)", kDivisionLine, "integer division by zero"}, [&] {
        x[0] = 0;
        launch<divide>({1, 32}, x.data());
    });
    const std::vector<std::string> by_zero{"thread (7, 0, 0)", "integer division by zero"};
    auto with = [](std::vector<std::string> words, std::string word) { return words.push_back(word), words; };
    harness::refused_once("a zero that the compiler sees", with(by_zero, kZeroLine),
                          [&] { launch<divide_by_nothing>({1, 32}, x.data()); });
    harness::refused_once("remainder", with(by_zero, kRemainderLine), [&] { launch<remainder_of_nothing>({1, 32}, x.data()); });
#endif
    harness::refused_once("null", {"kernel write_nowhere", "thread (7, 0, 0)", kNullLine, "access to address 0x0, a null pointer"},
                          [] { launch<write_nowhere>({1, 32}, nullptr); });
    FILE* null = fopen("/dev/null", "w");
    harness::refused_once("strlen", {"kernel measure", "thread (7, 0, 0)", kLengthLine, "access to address 0x10", ", in "},
                          [&] { launch<measure>({1, 32}, reinterpret_cast<const char*>(16), x.data()); });
    harness::refused_once("fprintf", {"kernel print", "thread (7, 0, 0)", kPrintLine, "access to address 0x10", ", in "},
                          [&] { launch<print>({1, 32}, null, reinterpret_cast<const char*>(16)); });
    harness::refused_once("jump", {"kernel jump", "thread (7, 0, 0)", kJumpLine, "access to address 0x10"},
                          [&] { launch<jump>({1, 32}, reinterpret_cast<void (*)()>(16), x.data()); });
    for (auto run : {+[](int* out) { launch<deep_stack>({1, 64}, out); }, +[](int* out) { launch<very_deep_stack>({1, 64}, out); }})
        harness::refused("stack",
                         {"deep_stack", "block (0, 0, 0), thread (", "faults.cu:", "this thread used more than", "of stack"},
                         [&] { run(x.data()); });
    harness::refused("trap", {"kernel illegal", "thread (7, 0, 0)", "faults.cu:", "trap"},
                     [&] { launch<illegal>({1, 32}, x.data()); });
    harness::refused("recursion", {"kernel endless_recursion", "thread (0, 0, 0)", "faults.cu:", "bytes of stack"}, [&] {
        x[0] = 1;
        launch<endless_recursion>({1, 32}, x.data());
    });
    launch<nothing>({1, 32}, 0);
}

// Loads and stores that a GPU refuses and this processor may not.
void misaligned() {
    Array<float> x(64), out(1);
    x.fill(0);
    harness::sweep([&](const char* schedule) {
        auto refused = [&](const char* kernel, const std::string& line, auto launch_it) {
            harness::must_hold(kernel, check::text_of<ww::DeviceError>(launch_it),
                               {kernel, "thread (", line, "misaligned: expected an address"}, schedule);
        };
        for (int at : {1, 4}) {
            auto load = [&] { launch<load_vector>({1, 32}, x.data(), at, out.data()); };
            if (at % 4) refused("kernel load_vector", kVectorLine, load);
            else load();
            auto store = [&] { launch<store_float>({1, 32}, reinterpret_cast<char*>(x.data()), at); };
            if (at % 4) refused("kernel store_float", kNarrowLine, store);
            else store();
            auto shared = [&] { launch<shared_vector>({1, 32, 256}, at); };
            if (at % 4) refused("kernel shared_vector", kSharedVectorLine, shared);
            else shared();
        }
    });
}

// Arrays that NumPy made: copies between guards, which have what the arrays had and give back what was written.
void views_of_the_host() {
    std::vector<float> x(12, 3.0f), y(12, 5.0f);
    auto view_of = [](std::vector<float>& v, int64_t n, int64_t step) {
        ww::View view;
        view.data = v.data(), view.dtype = ww::DType::float32, view.ndim = 1, view.shape[0] = n, view.strides[0] = step;
        return view;
    };
    auto run = [&](int64_t at) {
        ww::View in = view_of(x, 12, 1), out = view_of(y, 6, 2);
        ww::GuardedViews guarded;
        guarded.add(in, {reinterpret_cast<char*>(x.data()), reinterpret_cast<char*>(x.data() + 12)}, false);
        guarded.add(out, {reinterpret_cast<char*>(y.data()), reinterpret_cast<char*>(y.data() + 11)}, true);
        guarded.copy_in();
        CHECK(static_cast<float*>(in.data)[11] == 3 && static_cast<float*>(out.data)[2] == 5);
        launch<write_at>({1, 32}, static_cast<float*>(out.data), at);
        launch<read_at>({1, 32}, static_cast<float*>(in.data), at, static_cast<float*>(out.data));
        guarded.copy_back("test");
    };
    run(10);
    CHECK(y[0] == 3 && y[10] == 1 && y[1] == 5 && y[11] == 5);
    harness::must_hold("past", check::text_of<ww::DeviceError>([&] { run(11); }), {"past the end of a block of 44", kWriteLine},
                       "");
    harness::must_hold("between", check::text_of<ww::DeviceError>([&] { run(1); }), {"between the elements of a strided array"},
                       "");
    CHECK(y[1] == 5);
}

// The line is that of the branch that was taken, though both end alike.
void branches() {
    Array<float> x(64);
    for (float value : {3.0f, 1.0f}) {
        std::fill_n(x.data(), 64, value);
        harness::must_hold("branch",
                           check::text_of<ww::DeviceError>([&] { launch<write_either>({1, 32}, x.data(), int64_t{1000}); }),
                           {"kernel write_either", value > 2 ? kFirstBranchLine : kSecondBranchLine}, "");
    }
}

// What a launch that failed wrote beside an array is not blamed on the next.
void blame() {
    Array<float> x(64);
    harness::must_hold("fails", check::text_of<ww::DeviceError>([&] { launch<write_then_fail>({1, 32}, x.data()); }),
                       {"kernel write_then_fail"}, "");
    launch<nothing>({1, 32}, 0);
}

// Outside of kernels a fault is whose it was: a handler from before, or the end of the process.
void outside() {
    auto fault = [] {
        volatile int* nowhere = nullptr;
        *nowhere = 1;
    };
    auto launches_then_faults = [&] {
        launch<nothing>({1, 32}, 0);
        fault();
    };
    CHECK(check::in_child(launches_then_faults, true) == -SIGSEGV);
    CHECK(check::in_child(
              [&] {
                  signal(SIGSEGV, [](int) { _exit(7); });
                  launches_then_faults();
              },
              true) == 7);
    // A handler from after the first launch, as Python's faulthandler is: before it raises the signal anew it puts back what it
    // found.
    CHECK(check::in_child(
              [&] {
                  static struct sigaction found, own;
                  launch<nothing>({1, 32}, 0);
                  own.sa_handler = [](int number) {
                      sigaction(number, &found, nullptr);
                      raise(number);
                  };
                  own.sa_flags = SA_NODEFER;
                  sigaction(SIGSEGV, &own, &found);
                  Array<float> x(24);
                  try {
                      launch<write_at>({1, 32}, x.data(), int64_t{1000});  // in the guard page behind it, whatever lies farther off
                      _exit(9);
                  } catch (const ww::DeviceError&) {
                  }
                  fault();
              },
              true) == -SIGSEGV);
    CHECK(check::in_child(
              [&] {
                  launch<nothing>({1, 32}, 0);
                  raise(SIGSEGV);
              },
              true) == -SIGSEGV);
}

}  // namespace

int main() {
    outside();  // first: it forks before the handlers are there
    globals();
    shared();
    others();
    misaligned();
    branches();
    blame();
    views_of_the_host();
    return check::summary("faults");
}
