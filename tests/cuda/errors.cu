// Each mistake that the simulator knows gets an error that names kernel, block, thread, file and line, under every schedule.
#include <array>
#include <exception>
#include <stdexcept>

#include "engine/cuda/sim/sanitizers.h"
#include "tests/cuda/refused.cuh"

namespace {

using namespace ww::cuda;
using harness::Array;
using harness::refused;
using harness::refused_once;

__global__ void divergent_barrier(int) {
    if (threadIdx.x < 64) {
        __syncthreads();
    } else {
        __syncthreads();
    }
}
__global__ void two_of_a_line(int) {
    // clang-format off
    if (threadIdx.x < 64) __syncthreads(); else __syncthreads();
    // clang-format on
}
__global__ void half_a_warp_leaves(int) {
    if (threadIdx.x % 32 >= 16) return;
    __syncthreads();
}
__global__ void one_warp_leaves(int* out) {
    if (threadIdx.x >= 32) return;
    __syncthreads();
    out[threadIdx.x] = 1;
}
__global__ void barrier_of_syncthreads(int) { named_barrier_sync(0, 64); }
__global__ void many_meetings(int* out) {
    const unsigned lane = threadIdx.x;
    // Sixteen pairs at a time, and then pairs of others: a lane may come to the second while its partner is still in the first.
    const int partner = __shfl_xor_sync(3u << (lane & ~1u), static_cast<int>(lane), 1);
    out[lane] = __shfl_sync(1u << lane | 1u << (31 - lane), partner, static_cast<int>(31 - lane));
}
__global__ void crossed_masks(int) { __syncwarp(threadIdx.x < 16 ? kFullMask : 0xffff0001u); }
__global__ void missing_arrival(int) {
    if (threadIdx.x < 32) named_barrier_sync(3, 64);
}
__global__ void unequal_named_barrier(int) { named_barrier_sync(1, threadIdx.x < 32 ? 64 : 128); }
__global__ void odd_named_barrier(int) { named_barrier_sync(1, 33); }
__global__ void exited_lane(int* out) {
    if (threadIdx.x == 5) return;
    out[threadIdx.x] = __shfl_xor_sync(kFullMask, 1, 1);
}
__global__ void divergent_lanes(int* out) {
    if (threadIdx.x < 16) {
        out[threadIdx.x] = __shfl_xor_sync(kFullMask, 1, 1);
    } else {
        out[threadIdx.x] = __shfl_xor_sync(kFullMask, 2, 1);
    }
}
__global__ void foreign_mask(int* out) { out[threadIdx.x] = __shfl_sync(0xffff0000u, 1, 20); }
__global__ void lane_outside_mask(int* out) {
    if (threadIdx.x < 8) out[threadIdx.x] = __shfl_sync(0xffu, 1, threadIdx.x == 3 ? 9 : 0);
}
__global__ void odd_width(int width) { __shfl_down_sync(kFullMask, 1.0f, 1, width); }
void __attribute__((noinline)) give_up(int how) {
    if (how == 0) throw std::runtime_error("out of some");
    if (how == 1) throw 5;
    if (how == 2) std::terminate();
    if (how == 3) exit(3);
    if (how == 4) std::abort();
    if (how == 5) ::_Exit(4);
    if (how == 6) std::quick_exit(5);
    std::array<int, 3>().at(static_cast<size_t>(how));
}
__global__ void gives_up(int how) {
    if (threadIdx.x == 7) give_up(how);
}
__global__ void refuses_exceptions(int how) noexcept {
    if (threadIdx.x == 7) give_up(how);
}
__global__ void catches(int* out) {
    try {
        give_up(0);
    } catch (const std::runtime_error&) {
        out[threadIdx.x] = 3;
    }
}
__global__ void wrong_assertion(int limit) { assert(static_cast<int>(threadIdx.x) != limit); }
template <class T, int which>
__global__ void atomics(char* x, int at) {
    if (threadIdx.x != 7) return;
    T* address = reinterpret_cast<T*>(x + at);
    if constexpr (which == 0) atomicAdd(address, T{1});
    else if constexpr (which == 1) atomicMax(address, T{1});
    else if constexpr (which == 2) atomicMin(address, T{1});
    else if constexpr (which == 3) atomicExch(address, T{1});
    else if constexpr (which == 4) atomicCAS(address, T{1}, T{2});
    else if constexpr (which == 5) load_acquire(address);
    else if constexpr (which == 6) add_release(address, T{1});
    else add_acquire_release(address, T{1});
}
__global__ void far_address(int) {
    SharedMemory shared;
    char* tile = shared.take<char, 16>(256);
    alignas(16) static char source[16];
    copy_async<16>(shared_address(tile) + 256, source);
}
__global__ void odd_copy(int) {
    SharedMemory shared;
    char* tile = shared.take<char, 16>(256);
    alignas(16) static char source[32];
    copy_async<16>(shared_address(tile) + 8, source);
}
__global__ void odd_source(int) {
    SharedMemory shared;
    char* tile = shared.take<char, 16>(256);
    alignas(16) static char source[32];
    copy_async<16>(shared_address(tile), source + 4);
}
__global__ void odd_matrix_row(int) {
    SharedMemory shared;
    char* tile = shared.take<char, 16>(1024);
    uint32_t registers[4];
    load_matrices_x4(registers, shared_address(tile) + threadIdx.x * 16 + 2);
}
__global__ void raw_mbarrier(int) {
    SharedMemory shared;
    uint64_t* barrier = shared.take<uint64_t>(1);
    mbarrier_arrive(shared_address(barrier));
}
__global__ void smashed_mbarrier(int) {
    SharedMemory shared;
    uint64_t* barrier = shared.take<uint64_t>(1);
    if (threadIdx.x == 0) mbarrier_init(shared_address(barrier), 1);
    __syncthreads();
    if (threadIdx.x == 0) *barrier = 0;
    __syncthreads();
    if (threadIdx.x == 0) mbarrier_arrive(shared_address(barrier));
}
__global__ void smashed_in_use(int part) {
    SharedMemory shared;
    uint64_t* barrier = shared.take<uint64_t>(1);
    if (threadIdx.x == 0) mbarrier_init(shared_address(barrier), 1);
    __syncthreads();
    if (threadIdx.x == 0) reinterpret_cast<uint32_t*>(barrier)[part] = 5;
    if (threadIdx.x >= 32) mbarrier_wait(shared_address(barrier), 0);
}
__global__ void too_many_arrivals(int) {
    SharedMemory shared;
    uint64_t* barrier = shared.take<uint64_t>(1);
    uint32_t bytes_outstanding = 16;
    if (threadIdx.x) return;
    mbarrier_init(shared_address(barrier), 1);
    mbarrier_arrive_expect(shared_address(barrier), bytes_outstanding);
    mbarrier_arrive(shared_address(barrier));
}
__global__ void missing_bytes(int) {
    SharedMemory shared;
    uint64_t* barrier = shared.take<uint64_t>(1);
    if (threadIdx.x == 0) {
        mbarrier_init(shared_address(barrier), 1);
        mbarrier_arrive_expect(shared_address(barrier), 64);
    }
    __syncthreads();
    mbarrier_wait(shared_address(barrier), 0);
}
__global__ void many_groups(int) {
    for (int i = 0; i < 20; i++) copy_async_commit();
}
__global__ void unawaited_copy(const int* x) {
    SharedMemory shared;
    int* tile = shared.take<int>(32);
    copy_async<4>(shared_address(tile + threadIdx.x), x + threadIdx.x);
    copy_async_commit();
}
__global__ void unequal_takes(int) {
    SharedMemory shared;
    if (threadIdx.x == 31) shared.take<float>(8);
    else shared.take<float>(9);
}
__global__ void greedy_take(int) {
    SharedMemory shared;
    shared.take<float>(64)[threadIdx.x] = 1;
}
__global__ void wait_for_others(uint32_t* counter) { grid_barrier(counter, 1); }
__global__ void wait_for_ever(uint32_t* counter) {
    add_release(counter, 1);
    poll_until_ge(counter, 97);
}
__global__ void unfenced_wgmma(int) {
    SharedMemory shared;
    char* tile = shared.take<char, 1024>(16 * 1024);
    float d[32] = {};
    uint64_t descriptor = wgmma_descriptor(shared_address(tile));
    wgmma_bf16(d, descriptor, descriptor, false);
}
__global__ void misplaced_box(const WW_GRID_CONSTANT TensorMap map) {
    SharedMemory shared;
    char* tile = shared.take<char, 1024>(16 * 1024);
    uint64_t* barrier = shared.take<uint64_t>(1);
    if (threadIdx.x) return;
    mbarrier_init(shared_address(barrier), 1);
    copy_tensor_async(shared_address(tile) + 64, &map, 0, 0, shared_address(barrier));
}
__global__ void tensor_past_the_end(const WW_GRID_CONSTANT TensorMap map) {
    SharedMemory shared;
    char* tile = shared.take<char, 1024>(16 * 1024);
    uint64_t* barrier = shared.take<uint64_t>(1);
    if (threadIdx.x) return;
    mbarrier_init(shared_address(barrier), 1);
    copy_tensor_async(shared_address(tile), &map, 0, 0, shared_address(barrier));
}
template <int threads>
__global__ void __launch_bounds__(threads) bounded(int) {}
__global__ void __launch_bounds__(96, 2) bounded_twice(int) {}
__global__ void nothing(int) {}

#define NAMES(kernel) kernel, "block (0, 0, 0)", "thread (", "errors.cu:"

void barriers() {
    Array<int> out(1024);
    refused("divergent", {NAMES("divergent_barrier"), "divergent __syncthreads"}, [] { launch<divergent_barrier>({1, 128}, 0); });
    refused("two of a line", {NAMES("two_of_a_line"), "divergent __syncthreads", "wait at another of this line"},
            [] { launch<two_of_a_line>({1, 128}, 0); });
    refused("half a warp", {NAMES("half_a_warp_leaves"), "expected whole warps to exit"},
            [] { launch<half_a_warp_leaves>({1, 64}, 0); });
    launch<one_warp_leaves>({1, 64}, out.data());
    CHECK(out[31] == 1);
    harness::sweep([&](const char* schedule) {
        launch<many_meetings>({1, 32}, out.data());
        for (size_t lane = 0; lane < 32; lane++) CHECK_IN(schedule, out[lane] == static_cast<int>((31 - lane) ^ 1));
    });
    refused("crossed masks", {"crossed_masks", "deadlock", "32 (from 0 to 31) wait in __syncwarp at errors.cu:"},
            [] { launch<crossed_masks>({1, 32}, 0); });
    refused("barrier 0", {NAMES("barrier_of_syncthreads"), "bar.sync: expected a barrier in [1, 16), got 0", "__syncthreads"},
            [] { launch<barrier_of_syncthreads>({1, 64}, 0); });
    refused("missing arrival",
            {"missing_arrival", "deadlock", "bar.sync at errors.cu:", "32 (from 0 to 31)", "barrier 3 has 32 of 64"},
            [] { launch<missing_arrival>({1, 64}, 0); });
    refused("unequal", {NAMES("unequal_named_barrier"), "those at"}, [] { launch<unequal_named_barrier>({1, 64}, 0); });
    refused("odd", {NAMES("odd_named_barrier"), "multiple of 32, got 33"}, [] { launch<odd_named_barrier>({1, 64}, 0); });
    refused("exited lane", {NAMES("exited_lane"), "returned"}, [&] { launch<exited_lane>({1, 32}, out.data()); });
    refused("divergent lanes", {NAMES("divergent_lanes"), "divergent warp"}, [&] { launch<divergent_lanes>({1, 32}, out.data()); });
    refused("foreign mask", {NAMES("foreign_mask"), "names the calling lane"}, [&] { launch<foreign_mask>({1, 32}, out.data()); });
    for (int width : {0, 3, 33, 64, -1})
        refused_once("width", {NAMES("odd_width"), "__shfl_down_sync: expected a width that is a power of two of 1 to 32, got"},
                     [&] { launch<odd_width>({1, 32}, width); });
    refused("lane outside",
            {"lane_outside_mask", "block (0, 0, 0), thread (3, 0, 0) (warp 0, lane 3), errors.cu:",
             "__shfl_sync: expected a lane that mask 000000ff names, got 9"},
            [&] { launch<lane_outside_mask>({1, 32}, out.data()); });
#if defined(__GLIBC__)
    refused("assertion",
            {"wrong_assertion", "block (0, 0, 0), thread (13, 0, 0)",
             "errors.cu:", "assertion 'static_cast<int>(threadIdx.x) != limit' failed"},
            [] { launch<wrong_assertion>({1, 32}, 13); });
    launch<wrong_assertion>({1, 32}, 32);
#endif
    Array<uint32_t> counter(1);
    refused("not cooperative", {"wait_for_others", "not cooperative", "errors.cu:"}, [&] {
        counter.fill(0);
        launch<wait_for_others>({4, 32}, counter.data());
    });
    refused("never enough", {"wait_for_ever", "deadlock", "poll_until_ge"}, [&] {
        counter.fill(0);
        launch<wait_for_ever>({3, 32, 0, true}, counter.data());
    });
}

// What would end the process in a program of the host's.
void ends() {
    const char* words[] = {"a C++ exception left the kernel: std::runtime_error: out of some",
                           "a C++ exception left the kernel: int",
                           "std::terminate in a kernel",
                           "exit(3) in a kernel",
                           "abort() in a kernel",
                           "_Exit(4) in a kernel",
                           "quick_exit(5) in a kernel",
                           "a C++ exception left the kernel: std::out_of_range: array::at"};
    for (int how = 0; how < 8; how++) {
        refused_once("end", {NAMES("gives_up"), "thread (7, 0, 0)", words[how]}, [&] { launch<gives_up>({1, 64}, how); });
        CHECK(!std::current_exception());
    }
    refused_once("noexcept", {NAMES("refuses_exceptions"), "thread (7, 0, 0)", "std::runtime_error: out of some"},
                 [] { launch<refuses_exceptions>({1, 32}, 0); });
    Array<int> out(32);
    launch<catches>({1, 32}, out.data());
    CHECK(out[31] == 3);
    // Outside of kernels, as ever. LSan, at the exit of a child, misses the threads of its parent and what they hold.
    CHECK(ww::sim::kAsan || check::in_child([] { exit(9); }) == 9);
    CHECK(check::in_child([] { std::_Exit(8); }) == 8);
    CHECK(check::in_child([] { std::quick_exit(7); }) == 7 && check::in_child([] { abort(); }) == -SIGABRT);
    CHECK(check::in_child([] { std::set_terminate([] { std::_Exit(6); }), launch<nothing>({1, 32}, 0), std::terminate(); }) == 6);
}

template <class T, int which>
void refuses_odd_atomic(const char* name) {
    Array<uint64_t> x(4);
    x.fill(0);
    char* bytes = reinterpret_cast<char*>(x.data());
    const int half = sizeof(T) / 2;
    const std::vector<std::string> words{NAMES("atomics"), "thread (7, 0, 0)",
                                         std::string(name) + ": misaligned: expected an address",
                                         "multiple of " + std::to_string(sizeof(T))};
    refused(name, words, [&] { launch<atomics<T, which>>({1, 32}, bytes, half); });
    launch<atomics<T, which>>({1, 32}, bytes, static_cast<int>(sizeof(T)));
}

void misaligned() {
    refuses_odd_atomic<int, 0>("atomicAdd");
    refuses_odd_atomic<float, 0>("atomicAdd");
    refuses_odd_atomic<double, 0>("atomicAdd");
    refuses_odd_atomic<int, 1>("atomicMax");
    refuses_odd_atomic<unsigned, 2>("atomicMin");
    refuses_odd_atomic<int, 3>("atomicExch");
    refuses_odd_atomic<unsigned long long, 4>("atomicCAS");
    refuses_odd_atomic<uint32_t, 5>("load_acquire");
    refuses_odd_atomic<uint32_t, 6>("add_release");
    refuses_odd_atomic<uint32_t, 7>("add_acquire_release");
}

#if !defined(__SANITIZE_ADDRESS__)
void addresses() {
    refused("far", {NAMES("far_address"), "16 bytes past the end"}, [] { launch<far_address>({1, 32, 256}, 0); });
    refused("odd copy", {NAMES("odd_copy"), "misaligned", "multiple of 16"}, [] { launch<odd_copy>({1, 32, 256}, 0); });
    refused("odd source", {NAMES("odd_source"), "misaligned", "global"}, [] { launch<odd_source>({1, 32, 256}, 0); });
    refused("odd row", {NAMES("odd_matrix_row"), "ldmatrix", "misaligned"}, [] { launch<odd_matrix_row>({1, 32, 1024}, 0); });
    refused("takes", {NAMES("unequal_takes"), "as other threads took it"}, [] { launch<unequal_takes>({1, 32, 64}, 0); });
    refused("greedy", {NAMES("greedy_take"), "128 bytes that the launch gave, got 256"},
            [] { launch<greedy_take>({1, 32, 128}, 0); });
}
#endif

void asynchronous() {
    Array<int> x(32);
    refused("too old", {NAMES("raw_mbarrier"), "expected a device of compute capability 9.0, got 8.0", "arch=90"},
            [] { launch<raw_mbarrier>({1, 32, 8}, 0); });
    ww::sim::options().arch = 90;
    refused("raw", {NAMES("raw_mbarrier"), "never initialised"}, [] { launch<raw_mbarrier>({1, 32, 8}, 0); });
    refused("smashed", {NAMES("smashed_mbarrier"), "something else has overwritten"},
            [] { launch<smashed_mbarrier>({1, 32, 8}, 0); });
    for (int part : {0, 1})
        refused("smashed in use", {NAMES("smashed_in_use"), "mbarrier.try_wait", "something else has overwritten"},
                [&] { launch<smashed_in_use>({1, 64, 8}, part); });
    refused("arrivals", {NAMES("too_many_arrivals"), "at most 1 arrivals"}, [] { launch<too_many_arrivals>({1, 32, 8}, 0); });
    refused("bytes", {"missing_bytes", "deadlock", "lacks 0 of 1 arrivals and 64 bytes"},
            [] { launch<missing_bytes>({1, 32, 8}, 0); });
    refused("groups", {NAMES("many_groups"), "at most 16 groups"}, [] { launch<many_groups>({1, 32}, 0); });
    const ww::sim::Options swept = ww::sim::options();
    ww::sim::options().asynchrony = ww::sim::Asynchrony::late;
    std::string text = check::text_of<ww::DeviceError>([&] { launch<unawaited_copy>({1, 32, 128}, x.data()); });
    CHECK(text.find("returns with 1 in flight") != std::string::npos);
    ww::sim::options() = swept;
    refused("no fence", {NAMES("unfenced_wgmma"), "wgmma.fence"}, [] { launch<unfenced_wgmma>({1, 128, 16 * 1024}, 0); });
    Array<uint16_t> matrix(64 * 64);
    refused("box", {NAMES("misplaced_box"), "misaligned", "multiple of 1024"}, [&] {
        TensorMap map{reinterpret_cast<char*>(matrix.data()), {64, 64}, 128, {64, 64}, 2, true};
        launch<misplaced_box>({1, 32, 17 * 1024}, map);
    });
    refused("tensor", {NAMES("tensor_past_the_end"), "expected a tensor within one block of global memory"}, [&] {
        TensorMap map{reinterpret_cast<char*>(matrix.data()), {64, 65}, 128, {64, 64}, 2, true};
        launch<tensor_past_the_end>({1, 32, 17 * 1024}, map);
    });
    ww::sim::options() = {};
}

void limits() {
    const std::string launched = "nothing, launched at errors.cu:" + std::to_string(__LINE__ + 1);
    refused("no threads", {launched, "block.x of 1 to 1024, got 0"}, [] { launch<nothing>({1, 0}, 0); });
    refused("many threads", {"nothing", "threads a block of 1 to 1024, got 2048"}, [] { launch<nothing>({1, {1024, 2}}, 0); });
    refused("odd threads", {"nothing", "multiple of 32 threads a block, got 33"}, [] { launch<nothing>({1, 33}, 0); });
    refused("deep block", {"nothing", "block.z of 1 to 64, got 65"}, [] { launch<nothing>({1, {1, 1, 65}}, 0); });
    refused("no grid", {"nothing", "grid.x of 1 to 2147483647, got 0"}, [] { launch<nothing>({0, 32}, 0); });
    refused("tall grid", {"nothing", "grid.y of 1 to 65535, got 65536"}, [] { launch<nothing>({{1, 65536}, 32}, 0); });
    for (auto [arch, most] : {std::pair{80, 163}, {86, 99}, {89, 99}, {90, 227}}) {
        const auto bytes = static_cast<size_t>(most) * 1024;
        ww::sim::options().arch = arch;
        CHECK(device_properties().shared_bytes_per_block == bytes);
        refused(
            "shared",
            {"nothing", "at most " + std::to_string(bytes) + " bytes of shared memory a block", "got " + std::to_string(bytes + 1)},
            [&] { launch<nothing>({1, 32, bytes + 1}, 0); });
        launch<nothing>({1, 32, bytes}, 0);
    }
    ww::sim::options() = {};
    refused("bound", {"bounded<64>", "at most the 64 threads a block of its __launch_bounds__, got 96"},
            [] { launch<bounded<64>>({1, 96}, 0); });
    refused("other bound", {"bounded<512>", "at most the 512 threads", "got 1024"}, [] { launch<bounded<512>>({1, {32, 32}}, 0); });
    refused("two bounds", {"bounded_twice", "at most the 96 threads", "got 128"}, [] { launch<bounded_twice>({1, 128}, 0); });
    launch<bounded<64>>({1, 64}, 0);
    launch<bounded<512>>({1, 512}, 0);
    launch<bounded_twice>({1, 96}, 0);
    refused("resident", {"nothing", "cooperative launch of at most 8 blocks", "got 9"},
            [] { launch<nothing>({9, 1024, 0, true}, 0); });
    launch<nothing>({1, 32}, 0);  // after all these errors, launches still work
}

}  // namespace

int main() {
    barriers();
    ends();
    misaligned();
#if !defined(__SANITIZE_ADDRESS__)
    addresses();
#endif
    asynchronous();
    limits();
    return check::summary("errors");
}
