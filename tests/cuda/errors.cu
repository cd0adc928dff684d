// Each mistake that the simulator knows gets an error that names kernel, block, thread, file and line, under every schedule.
#include "tests/cuda/harness.cuh"

namespace {

using namespace ww::cuda;
using harness::Array;

// `words` must be in the error of a launch under each schedule.
template <class Launch>
void refused(const char* name, std::vector<std::string> words, Launch launch_it) {
    harness::sweep([&](const char* schedule) {
        std::string text = check::text_of<ww::DeviceError>(launch_it);
        for (auto& word : words) {
            bool holds = text.find(word) != std::string::npos;
            check::that(holds, (std::string(name) + ": expected '" + word + "' in '" + text + "' [" + schedule + "]").c_str(),
                        __FILE__, __LINE__);
        }
    });
}

__global__ void divergent_barrier(int) {
    if (threadIdx.x < 64) {
        __syncthreads();
    } else {
        __syncthreads();
    }
}
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
    if (threadIdx.x < 8) out[threadIdx.x] = __shfl_sync(0xffu, 1, 9);
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
__global__ void shared_overrun(int past) {
    SharedMemory shared;
    float* a = shared.take<float>(64);
    float* b = shared.take<float>(64);
    b[0] = 0;
    if (threadIdx.x == 3) a[64 + past] = 1;
    __syncthreads();
}
__global__ void shared_underrun(int before) {
    SharedMemory shared;
    float* a = shared.take<float>(64);
    if (threadIdx.x == 3) a[-before] = 1;
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
__global__ void write_at(float* x, int64_t at) {
    if (threadIdx.x == 7) x[at] = 1;
}
__global__ void read_at(const float* x, int64_t at, float* out) {
    if (threadIdx.x == 7) out[0] = x[at];
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
#if !defined(__SANITIZE_ADDRESS__)  // whose own errors end the process
__global__ void deep_stack(int* out) {
    // Only the last lane, as the others' stacks, which lie below it, have been left by then in lockstep; and only a little.
    volatile char big[60000];
    if (threadIdx.x < 31) return;
    for (int i = 0; i < 60000; i++) big[i] = static_cast<char>(i);
    out[threadIdx.x] = big[0] + big[59999];
}
#endif
__global__ void nothing(int) {}

#define NAMES(kernel) kernel, "block (0, 0, 0)", "thread (", "errors.cu:"

void barriers() {
    Array<int> out(1024);
    refused("divergent", {NAMES("divergent_barrier"), "divergent __syncthreads"}, [] { launch<divergent_barrier>({1, 128}, 0); });
    refused("missing arrival",
            {"missing_arrival", "deadlock", "bar.sync at errors.cu:", "32 (from 0 to 31)", "barrier 3 has 32 of 64"},
            [] { launch<missing_arrival>({1, 64}, 0); });
    refused("unequal", {NAMES("unequal_named_barrier"), "those at"}, [] { launch<unequal_named_barrier>({1, 64}, 0); });
    refused("odd", {NAMES("odd_named_barrier"), "multiple of 32, got 33"}, [] { launch<odd_named_barrier>({1, 64}, 0); });
    refused("exited lane", {NAMES("exited_lane"), "returned"}, [&] { launch<exited_lane>({1, 32}, out.data()); });
    refused("divergent lanes", {NAMES("divergent_lanes"), "divergent warp"}, [&] { launch<divergent_lanes>({1, 32}, out.data()); });
    refused("foreign mask", {NAMES("foreign_mask"), "names the calling lane"}, [&] { launch<foreign_mask>({1, 32}, out.data()); });
    refused("lane outside", {NAMES("lane_outside_mask"), "reads lane 9"}, [&] { launch<lane_outside_mask>({1, 32}, out.data()); });
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

#if !defined(__SANITIZE_ADDRESS__)
void addresses() {
    refused("far", {NAMES("far_address"), "16 bytes past the end"}, [] { launch<far_address>({1, 32, 256}, 0); });
    refused("odd copy", {NAMES("odd_copy"), "misaligned", "multiple of 16"}, [] { launch<odd_copy>({1, 32, 256}, 0); });
    refused("odd source", {NAMES("odd_source"), "misaligned", "global"}, [] { launch<odd_source>({1, 32, 256}, 0); });
    refused("odd row", {NAMES("odd_matrix_row"), "ldmatrix", "misaligned"}, [] { launch<odd_matrix_row>({1, 32, 1024}, 0); });
    refused("overrun", {NAMES("shared_overrun"), "past the end of array 0 (256 bytes)"},
            [] { launch<shared_overrun>({1, 64, 512}, 0); });
    refused("overrun further", {"byte 40 past the end of array 0"}, [] { launch<shared_overrun>({1, 64, 512}, 10); });
    refused("underrun", {"shared_underrun", "before the first array"}, [] { launch<shared_underrun>({1, 64, 256}, 1); });
    refused("takes", {NAMES("unequal_takes"), "as other threads took it"}, [] { launch<unequal_takes>({1, 32, 64}, 0); });
    refused("greedy", {NAMES("greedy_take"), "128 bytes that the launch gave, got 256"},
            [] { launch<greedy_take>({1, 32, 128}, 0); });
    Array<float> x(24), out(1);
    Array<float> odd(5);
    refused("write past", {"write_at", "thread (7, 0, 0)", "4 bytes past the end of a block of 96", "errors.cu:"},
            [&] { launch<write_at>({1, 32}, x.data(), int64_t{25}); });
    refused("read past", {"read_at", "0 bytes past the end of a block of 96"},
            [&] { launch<read_at>({1, 32}, x.data(), int64_t{24}, out.data()); });
    refused("before", {"write_at", "before a block of 96"}, [&] { launch<write_at>({1, 32}, x.data(), int64_t{-1024}); });
    refused("slack", {"write_at", "past the end of a block of 20"}, [&] { launch<write_at>({1, 32}, odd.data(), int64_t{5}); });
    refused("just before", {"write_at", "before a block of 20"}, [&] { launch<write_at>({1, 32}, odd.data(), int64_t{-1}); });
}
#endif

void asynchronous() {
    Array<int> x(32);
    refused("raw", {NAMES("raw_mbarrier"), "never initialised, or overwritten"}, [] { launch<raw_mbarrier>({1, 32, 8}, 0); });
    refused("smashed", {NAMES("smashed_mbarrier"), "never initialised, or overwritten"},
            [] { launch<smashed_mbarrier>({1, 32, 8}, 0); });
    refused("arrivals", {NAMES("too_many_arrivals"), "at most 1 arrivals"}, [] { launch<too_many_arrivals>({1, 32, 8}, 0); });
    refused("bytes", {"missing_bytes", "deadlock", "lacks 0 of 1 arrivals and 64 bytes"},
            [] { launch<missing_bytes>({1, 32, 8}, 0); });
    refused("groups", {NAMES("many_groups"), "at most 16 groups"}, [] { launch<many_groups>({1, 32}, 0); });
    ww::sim::options() = {};
    std::string text = check::text_of<ww::DeviceError>([&] { launch<unawaited_copy>({1, 32, 128}, x.data()); });
    CHECK(text.find("returns with 1 in flight") != std::string::npos);
    refused("no fence", {NAMES("unfenced_wgmma"), "wgmma.fence"}, [] { launch<unfenced_wgmma>({1, 128, 16 * 1024}, 0); });
    Array<uint16_t> matrix(64 * 64);
    refused("box", {NAMES("misplaced_box"), "misaligned", "multiple of 1024"}, [&] {
        TensorMap map{reinterpret_cast<char*>(matrix.data()), {64, 64}, 128, {64, 64}, 2, true};
        launch<misplaced_box>({1, 32, 17 * 1024}, map);
    });
}

void limits() {
    refused("no threads", {"nothing", "block.x of 1 to 1024, got 0"}, [] { launch<nothing>({1, 0}, 0); });
    refused("many threads", {"nothing", "threads a block of 1 to 1024, got 2048"}, [] { launch<nothing>({1, {1024, 2}}, 0); });
    refused("odd threads", {"nothing", "multiple of 32 threads a block, got 33"}, [] { launch<nothing>({1, 33}, 0); });
    refused("deep block", {"nothing", "block.z of 1 to 64, got 65"}, [] { launch<nothing>({1, {1, 1, 65}}, 0); });
    refused("no grid", {"nothing", "grid.x of 1 to 2147483647, got 0"}, [] { launch<nothing>({0, 32}, 0); });
    refused("tall grid", {"nothing", "grid.y of 1 to 65535, got 65536"}, [] { launch<nothing>({{1, 65536}, 32}, 0); });
    refused("shared", {"nothing", "at most 232448 bytes of shared memory a block, got 232449"},
            [] { launch<nothing>({1, 32, 232449}, 0); });
    refused("resident", {"nothing", "cooperative launch of at most 8 blocks", "got 9"},
            [] { launch<nothing>({9, 1024, 0, true}, 0); });
#if !defined(__SANITIZE_ADDRESS__)
    Array<int> out(32);
    refused("stack", {"deep_stack", "stack"}, [&] { launch<deep_stack>({1, 32}, out.data()); });
#endif
    launch<nothing>({1, 32}, 0);  // after all these errors, launches still work
}

}  // namespace

int main() {
    barriers();
#if !defined(__SANITIZE_ADDRESS__)
    addresses();
#endif
    asynchronous();
    limits();
    return check::summary("errors");
}
