// Mistakes with what compute capability 9.0 brings, each an error that names kernel, block, thread, file and line, under every
// schedule: mbarriers in use, TMA copies and wgmma that nobody waits for, warpgroups that are not whole.
#include "tests/cuda/refused.cuh"

namespace {

using namespace ww::cuda;
using harness::Array;
using harness::refused;

// ---- mbarriers -------------------------------------------------------------------------------------------------------------

enum class Use { none, arrival, bytes, waiting };

const std::string kFirstInit = LINE_BELOW(7), kSecondInit = LINE_BELOW(15);
template <Use use>
__global__ void init_again(int) {
    SharedMemory shared;
    uint64_t* barriers = shared.take<uint64_t>(2);
    const uint32_t barrier = shared_address(barriers), met = barrier + 8;
    if (threadIdx.x == 0) {
        mbarrier_init(barrier, 2);
        mbarrier_init(met, 32);
        if (use == Use::arrival) mbarrier_arrive(barrier);
        if (use == Use::bytes) mbarrier_arrive_expect(barrier, 64);
    }
    __syncthreads();
    if (threadIdx.x < 32) mbarrier_arrive(met);
    if (use == Use::waiting && threadIdx.x >= 32) mbarrier_wait(barrier, 0);
    if (threadIdx.x == 5) mbarrier_init(barrier, 1);
}
__global__ void all_init(int) {
    SharedMemory shared;
    mbarrier_init(shared_address(shared.take<uint64_t>(1)), 32);
}
__global__ void init_after_invalidate(int* out) {
    SharedMemory shared;
    const uint32_t barrier = shared_address(shared.take<uint64_t>(1));
    for (int round = 0; round < 2; round++) {
        if (threadIdx.x == 0) mbarrier_init(barrier, 64);
        __syncthreads();
        mbarrier_arrive(barrier);
        mbarrier_wait(barrier, 0);
        __syncthreads();
        if (threadIdx.x == 0) mbarrier_invalidate(barrier);
        __syncthreads();
    }
    out[threadIdx.x] = 1;
}
__global__ void invalidate_in_use(int) {
    SharedMemory shared;
    const uint32_t barrier = shared_address(shared.take<uint64_t>(1));
    if (threadIdx.x) return;
    mbarrier_init(barrier, 2);
    mbarrier_arrive(barrier);
    mbarrier_invalidate(barrier);
}
__global__ void arrive_after_invalidate(int) {
    SharedMemory shared;
    const uint32_t barrier = shared_address(shared.take<uint64_t>(1));
    if (threadIdx.x) return;
    mbarrier_init(barrier, 2);
    mbarrier_invalidate(barrier);
    mbarrier_arrive(barrier);
}

void mbarriers() {
    auto names = [](const char* kernel) {
        return std::vector<std::string>{
            kernel, "block (0, 0, 0), thread (5, 0, 0)", kSecondInit,
            "mbarrier.init: expected memory that holds no mbarrier, got the one that thread 0 of the block "
            "initialised at " +
                kFirstInit.substr(0, kFirstInit.size() - 1)};
    };
    auto with = [&](const char* kernel, const char* use) {
        auto words = names(kernel);
        words.emplace_back(use);
        return words;
    };
    refused("init again", names("init_again"), [] { launch<init_again<Use::none>>({1, 64, 16}, 0); });
    refused("an arrival", with("init_again", ", with 1 arrivals in its phase"),
            [] { launch<init_again<Use::arrival>>({1, 64, 16}, 0); });
    refused("bytes", with("init_again", "1 arrivals in its phase, 64 bytes to come"),
            [] { launch<init_again<Use::bytes>>({1, 64, 16}, 0); });
    refused("waiting", names("init_again"), [] { launch<init_again<Use::waiting>>({1, 64, 16}, 0); });
    refused("all init", {"all_init", "thread (", "errors_hopper.cu:", "expected memory that holds no mbarrier"},
            [] { launch<all_init>({1, 32, 8}, 0); });
    refused("invalidated in use", {"invalidate_in_use", "thread (0, 0, 0)", "mbarrier.inval", "not in use", "1 arrivals"},
            [] { launch<invalidate_in_use>({1, 32, 8}, 0); });
    refused("arrival after", {"arrive_after_invalidate", "thread (0, 0, 0)", "never initialised"},
            [] { launch<arrive_after_invalidate>({1, 32, 8}, 0); });
    Array<int> out(64);
    launch<init_after_invalidate>({1, 64, 8}, out.data());
    CHECK(out[63] == 1);
}

// ---- TMA -------------------------------------------------------------------------------------------------------------------

enum class Wait { none, one_of_two, all };

const std::string kCopyLine = LINE_BELOW(12), kSecondCopyLine = LINE_BELOW(13);
template <Wait wait>
__global__ void copy_and_leave(const WW_GRID_CONSTANT TensorMap map, int* out) {
    SharedMemory shared;
    const uint32_t tile = shared_address(shared.take<char, 1024>(2 * 64 * 128));
    const uint32_t first = shared_address(shared.take<uint64_t>(2)), second = first + 8;
    if (threadIdx.x == 9) {
        const uint32_t bytes = 64 * 128;
        mbarrier_init(first, 1);
        mbarrier_init(second, 1);
        mbarrier_arrive_expect(first, bytes);
        mbarrier_arrive_expect(second, bytes);
        copy_tensor_async(tile, &map, 0, 0, first);
        copy_tensor_async(tile + bytes, &map, 0, 0, second);
    }
    __syncthreads();
    if (wait == Wait::one_of_two || wait == Wait::all) mbarrier_wait(first, 0);
    if (wait == Wait::all) mbarrier_wait(second, 0);
    out[threadIdx.x] = 1;
}

void copies() {
    Array<uint16_t> matrix(64 * 64);
    Array<int> out(32);
    const TensorMap map{reinterpret_cast<char*>(matrix.data()), {64, 64}, 128, {64, 64}, 2, true};
    constexpr size_t bytes = 2 * 64 * 128 + 16;
    auto words = [](const std::string& line) {
        return std::vector<std::string>{
            "kernel copy_and_leave", "block (0, 0, 0), thread (9, 0, 0)", line,
            "cp.async.bulk.tensor: expected a wait for its mbarrier before the block ends, got a copy that"};
    };
    refused("no wait", words(kCopyLine), [&] { launch<copy_and_leave<Wait::none>>({1, 32, bytes}, map, out.data()); });
    refused("one of two", words(kSecondCopyLine),
            [&] { launch<copy_and_leave<Wait::one_of_two>>({1, 32, bytes}, map, out.data()); });
    out.fill(0);
    launch<copy_and_leave<Wait::all>>({1, 32, bytes}, map, out.data());
    CHECK(out[31] == 1);
}

// ---- wgmma -----------------------------------------------------------------------------------------------------------------

enum class Slip {
    none,
    no_wait,
    no_commit,
    one_warp,
    other_line,
    other_order,
    other_operand,
    early_return,
    early_write,
    early_scale,
    early_read
};

const std::string kIssueLine = LINE_BELOW(15);
template <Slip slip>
__global__ void multiply(float* out) {
    SharedMemory shared;
    auto* tile = shared.take<bfloat16, 1024>(64 * 64);
    const int thread = static_cast<int>(threadIdx.x), warp = thread / 32;
    for (int i = thread; i < 64 * 64; i += static_cast<int>(blockDim.x)) tile[i] = from_float<bfloat16>(1);
    fence_proxy_async();
    __syncthreads();
    float d[32], early = 0;
    for (float& x : d) x = 0;
    const uint64_t a = wgmma_descriptor(shared_address(tile)), b = slip == Slip::other_operand && warp == 1 ? a + 2 : a;
    if (slip == Slip::early_return && warp == 3) return;
    wgmma_fence();
    if (slip == Slip::other_line && warp == 2) wgmma_bf16(d, a, b, false);
    else if (slip != Slip::one_warp || warp == 0) wgmma_bf16(d, a, b, false);
    if (slip == Slip::other_order && warp == 1) wgmma_fence();
    if (slip != Slip::no_commit) wgmma_commit();
    if (slip == Slip::early_write && thread == 70) d[3] = 5;
    if (slip == Slip::early_scale && thread == 70)
        for (float& x : d) x *= 0.5f;
    if (slip == Slip::early_read) early = d[3];
    if (slip != Slip::no_wait) wgmma_wait<0>(d);
    out[thread] = slip == Slip::early_read ? early : d[3];
}

template <Slip slip>
void run(float* out, unsigned threads = 128) {
    launch<multiply<slip>>({1, threads, 64 * 128}, out);
}

void products() {
    Array<float> out(160);
    auto refuses = [&](const char* name, std::vector<std::string> words, void (*run_it)(float*, unsigned), unsigned threads = 128) {
        words.insert(words.end(), {"kernel multiply", "block (0, 0, 0), thread (", "errors_hopper.cu:"});
        refused(name, words, [&] { run_it(out.data(), threads); });
    };
    refuses("no wait", {kIssueLine, "expected a wait for every operation, got a warp that returns with 1 in flight"},
            run<Slip::no_wait>);
    refuses("no commit", {kIssueLine, "expected a wait for every operation, got a warp that returns with 1 in flight"},
            run<Slip::no_commit>);
    refuses("one warp", {"divergent warpgroup: this warp is in wgmma.", "of its warpgroup was in wgmma."}, run<Slip::one_warp>);
    refuses("other line", {"divergent warpgroup: this warp is in wgmma.mma_async"}, run<Slip::other_line>);
    refuses("other order", {"divergent warpgroup: this warp is in wgmma.", "was in wgmma."}, run<Slip::other_order>);
    refuses("other operand", {kIssueLine, "expected the same operands in all four warps of the warpgroup"},
            run<Slip::other_operand>);
    refuses("early return", {"wgmma.", "expected all four warps of the warpgroup, got "}, run<Slip::early_return>);
    refuses("three warps", {"expected a warpgroup of four warps, got a block that ends after 3 of warpgroup 0"}, run<Slip::none>,
            96);
    refuses("a fifth warp", {"expected a warpgroup of four warps, got a block that ends after 1 of warpgroup 1"}, run<Slip::none>,
            160);
    refuses("early write", {"thread (70, 0, 0)", kIssueLine, "accumulators that nobody touches between the operation and the wait"},
            run<Slip::early_write>);
    refuses("early scale", {"thread (70, 0, 0)", kIssueLine, "accumulators that nobody touches between the operation and the wait"},
            run<Slip::early_scale>);
    harness::sweep([&](const char* schedule) {
        run<Slip::none>(out.data());
        CHECK_IN(schedule, out[0] == 16 && out[127] == 16);
        run<Slip::early_read>(out.data());
        CHECK_IN(schedule, out[0] != out[0] && out[127] != out[127]);  // NaN
    });
}

}  // namespace

int main() {
    harness::hopper();
    mbarriers();
    copies();
    products();
    return check::summary("errors_hopper");
}
