// Kernels of the kinds that the engine has, each right under every schedule, and then with one bug each: the sweep must catch it,
// by a wrong result or by the error that is named. This is what shows that the simulator finds what it is for.
#include <cmath>

#include "engine/cuda/tensor_map.cuh"
#include "tests/cuda/verdict.cuh"

namespace {

using namespace ww::cuda;
using harness::Array;
using harness::small;

enum class Bug {  // clang-format off
    none,
    // of the staged product
    no_wait, wait_one_late, no_barrier, wrong_stage, refill_early, swapped_fragment, wrong_swizzle, row_off_by_one, no_zero_fill,
    overrun, stray_write, uncommitted,
    // of the Hopper product
    no_full_wait, no_empty_wait, early_release, no_wgmma_fence, no_wgmma_wait, wrong_parity, wrong_bytes, wrong_count, no_init_barrier,
    one_warp_waits, init_by_all, copy_too_many, uncommitted_product,
};  // clang-format on

// ---- bfloat16 product by cp.async, ldmatrix and mma.sync: a [m, k], b [k, n], c [m, n], tiles of 64 x 64 x 32 ----------------

constexpr int kStages = 3;

template <Bug bug>
__global__ void __launch_bounds__(128) staged_product(int m, int n, int k, const bfloat16* a, const bfloat16* b, float* c) {
    SharedMemory shared;
    bfloat16* as = shared.take<bfloat16, 128>(kStages * 64 * 32);
    bfloat16* bs = shared.take<bfloat16, 128>(kStages * 32 * 64);
    const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
    const int m0 = static_cast<int>(blockIdx.y) * 64, n0 = static_cast<int>(blockIdx.x) * 64, row0 = warp / 2 * 32,
              column0 = warp % 2 * 32;
    const uint32_t a_base = shared_address(as), b_base = shared_address(bs);
    // Chunks of 16 bytes are permuted within their rows, so that neither the copies nor ldmatrix meet in one bank.
    auto a_at = [](int row, int chunk) { return static_cast<uint32_t>(row * 64 + ((chunk ^ (row / 2 % 4)) * 16)); };
    auto b_at = [](int row, int chunk) { return static_cast<uint32_t>(row * 128 + ((chunk ^ (row % 8)) * 16)); };
    auto load = [&](int stage, int k0) {
        for (int i = 0; i < 2; i++) {
            int row = (thread + i * 128) / 4, chunk = thread % 4;
            bool inside = m0 + row < m && k0 + chunk * 8 < k;
            int copied = inside || (bug == Bug::no_zero_fill && m0 + row < m) ? 16 : 0;
            copy_async<16>(a_base + static_cast<uint32_t>(stage) * 4096 + a_at(row, chunk),
                           copied ? a + (m0 + row) * k + k0 + chunk * 8 : a, copied);
        }
        for (int i = 0; i < 2; i++) {
            int row = (thread + i * 128) / 8, chunk = thread % 8;
            bool inside = k0 + row < k && n0 + chunk * 8 < n;
            copy_async<16>(b_base + static_cast<uint32_t>(stage) * 4096 + b_at(row, chunk),
                           inside ? b + (k0 + row) * n + n0 + chunk * 8 : b, inside ? 16 : 0);
        }
    };
    float sums[2][4][4] = {};
    const int steps = (k + 31) / 32;
    for (int stage = 0; stage < kStages - 1; stage++) {
        if (stage < steps) load(stage, stage * 32);
        if (bug != Bug::uncommitted || stage > 0) copy_async_commit();
    }
    for (int step = 0; step < steps; step++) {
        if constexpr (bug == Bug::wait_one_late) copy_async_wait<kStages - 1>();
        else if constexpr (bug != Bug::no_wait) copy_async_wait<kStages - 2>();
        if constexpr (bug != Bug::no_barrier) __syncthreads();
        const int stage = step % kStages, next = step + kStages - 1;
        if (next < steps)
            load(bug == Bug::wrong_stage ? stage : (bug == Bug::refill_early ? (next + 1) % kStages : next % kStages), next * 32);
        copy_async_commit();
        for (int kk = 0; kk < 2; kk++) {
            uint32_t fa[2][4], fb[2][4];
            for (int i = 0; i < 2; i++) {
                int row = row0 + i * 16 + lane % 16, chunk = kk * 2 + lane / 16;
                load_matrices_x4(
                    fa[i], a_base + static_cast<uint32_t>(stage) * 4096 + a_at(bug == Bug::wrong_swizzle ? row ^ 2 : row, chunk));
            }
            for (int j = 0; j < 2; j++)
                load_matrices_x4_transposed(fb[j], b_base + static_cast<uint32_t>(stage) * 4096 +
                                                       b_at(kk * 16 + lane % 16, column0 / 8 + j * 2 + lane / 16));
            for (int i = 0; i < 2; i++)
                for (int j = 0; j < 4; j++) {
                    uint32_t pair[2] = {fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1]};
                    if constexpr (bug == Bug::swapped_fragment) {
                        uint32_t swapped[4] = {fa[i][0], fa[i][2], fa[i][1], fa[i][3]};
                        multiply_bf16(sums[i][j], swapped, pair);
                    } else {
                        multiply_bf16(sums[i][j], fa[i], pair);
                    }
                }
        }
    }
    copy_async_wait<0>();
    if (bug == Bug::overrun && thread == 127) bs[kStages * 32 * 64] = {0};
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 4; j++)
            for (int e = 0; e < 4; e++) {
                int row = m0 + row0 + i * 16 + lane / 4 + e / 2 * 8, column = n0 + column0 + j * 8 + lane % 4 * 2 + e % 2;
                bool inside = (bug == Bug::row_off_by_one ? row < m - 1 : row < m) && column < n;
                if (inside || (bug == Bug::stray_write && row == m && column < n)) c[row * n + column] = sums[i][j][e];
            }
}

// On the host, where the wrappers are not: small integers are exact in bfloat16.
bfloat16 as_bfloat16(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    return {static_cast<uint16_t>(bits >> 16)};
}
float as_float(bfloat16 x) {
    const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
    float y;
    std::memcpy(&y, &bits, 4);
    return y;
}

struct Matrices {
    int m, n, k;
    Array<bfloat16> a, b;
    std::vector<float> expected;
    // b is [k, n], or [n, k] if transposed.
    Matrices(int m_, int n_, int k_, bool transposed)
        : m(m_),
          n(n_),
          k(k_),
          a(static_cast<size_t>(m * k), [](size_t i) { return as_bfloat16(small(i)); }),
          b(static_cast<size_t>(k * n), [](size_t i) { return as_bfloat16(small(i + 5)); }),
          expected(static_cast<size_t>(m * n)) {
        for (int i = 0; i < m; i++)
            for (int j = 0; j < n; j++)
                for (int l = 0; l < k; l++)
                    expected[static_cast<size_t>(i * n + j)] +=
                        as_float(a[static_cast<size_t>(i * k + l)]) *
                        as_float(b[static_cast<size_t>(transposed ? j * k + l : l * n + j)]);
    }
    bool same(Array<float>& c) const {
        for (size_t i = 0; i < expected.size(); i++)
            if (c[i] != expected[i]) return false;
        return true;
    }
};

unsigned tiles(int n, int tile) { return static_cast<unsigned>((n + tile - 1) / tile); }

template <Bug bug>
bool staged() {
    static Matrices matrices(72, 80, 200, false);
    const int m = matrices.m, n = matrices.n, k = matrices.k;
    auto &a = matrices.a, &b = matrices.b;
    Array<float> c(static_cast<size_t>(m * n));
    launch<staged_product<bug>>({{tiles(n, 64), tiles(m, 64)}, 128, kStages * 8192}, m, n, k, a.data(), b.data(), c.data());
    harness::wait();
    return matrices.same(c);
}

// ---- the same by TMA and wgmma: b is [n, k], tiles of 64 x 128 x 64; warp 4 copies, warps 0 to 3 multiply --------------------

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
template <Bug bug>
__global__ void __launch_bounds__(160)
    hopper_product(const WW_GRID_CONSTANT TensorMap a_map, const WW_GRID_CONSTANT TensorMap b_map, int m, int n, int k, float* c) {
    SharedMemory shared;
    bfloat16* as = shared.take<bfloat16, 1024>(kStages * 64 * 64);
    bfloat16* bs = shared.take<bfloat16, 1024>(kStages * 128 * 64);
    uint64_t* barriers = shared.take<uint64_t>(2 * kStages);
    const uint32_t a_base = shared_address(as), b_base = shared_address(bs), full = shared_address(barriers),
                   empty = full + 8 * kStages;
    const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
    const int m0 = static_cast<int>(blockIdx.y) * 64, n0 = static_cast<int>(blockIdx.x) * 128, steps = (k + 63) / 64;
    if (bug == Bug::init_by_all ? thread < 128 : thread == 0) {
        for (uint32_t stage = 0; stage < kStages; stage++) {
            mbarrier_init(full + 8 * stage, 1);
            mbarrier_init(empty + 8 * stage, bug == Bug::wrong_count ? 5 : 4);
        }
        fence_mbarrier_init();
    }
    if constexpr (bug != Bug::no_init_barrier) __syncthreads();
    if (warp == 4) {
        if (lane == 0)
            for (int step = 0; step < steps + (bug == Bug::copy_too_many); step++) {
                const auto stage = static_cast<uint32_t>(step % kStages), round = static_cast<uint32_t>(step / kStages % 2);
                if constexpr (bug != Bug::no_empty_wait)
                    mbarrier_wait(empty + 8 * stage, bug == Bug::wrong_parity ? round : round ^ 1);
                mbarrier_arrive_expect(full + 8 * stage, (64 + (bug == Bug::wrong_bytes ? 64 : 128)) * 128);
                copy_tensor_async(a_base + stage * 8192, &a_map, step * 64, m0, full + 8 * stage);
                copy_tensor_async(b_base + stage * 16384, &b_map, step * 64, n0, full + 8 * stage);
            }
    } else {
        float sums[64];
        for (int i = 0; i < 64; i++) sums[i] = 0;
        for (int step = 0; step < steps; step++) {
            const auto stage = static_cast<uint32_t>(step % kStages), round = static_cast<uint32_t>(step / kStages % 2);
            if constexpr (bug != Bug::no_full_wait) mbarrier_wait(full + 8 * stage, round);
            if constexpr (bug != Bug::no_wgmma_fence) wgmma_fence();
            for (uint32_t kk = 0; kk < 4; kk++)
                wgmma_bf16(sums, wgmma_descriptor(a_base + stage * 8192 + kk * 32),
                           wgmma_descriptor(b_base + stage * 16384 + kk * 32), true);
            if (bug != Bug::uncommitted_product || step + 1 < steps) wgmma_commit();
            if constexpr (bug == Bug::early_release) {
                if (lane == 0) mbarrier_arrive(empty + 8 * stage);
            }
            if (bug == Bug::no_wgmma_wait || (bug == Bug::one_warp_waits && warp && step + 1 < steps)) wgmma_wait<1>(sums);
            else wgmma_wait<0>(sums);
            if constexpr (bug != Bug::early_release) {
                if (lane == 0) mbarrier_arrive(empty + 8 * stage);
            }
        }
        for (int i = 0; i < 64; i++) {
            int row = m0 + warp * 16 + lane / 4 + 8 * (i / 2 % 2), column = n0 + 8 * (i / 4) + lane % 4 * 2 + i % 2;
            if (row < m && column < n) c[row * n + column] = sums[i];
        }
    }
}
#else
template <Bug bug>
__global__ void hopper_product(const WW_GRID_CONSTANT TensorMap, const WW_GRID_CONSTANT TensorMap, int, int, int, float*) {}
#endif

template <Bug bug>
bool hopper() {
    static Matrices matrices(72, 136, 520, true);
    const int m = matrices.m, n = matrices.n, k = matrices.k;
    auto &a = matrices.a, &b = matrices.b;
    Array<float> c(static_cast<size_t>(m * n));
    auto map = [&](const bfloat16* base, int rows, uint32_t box_rows) {
        return make_tensor_map(base, Element::bfloat16, static_cast<uint64_t>(rows), static_cast<uint64_t>(k),
                               static_cast<uint64_t>(2 * k), box_rows, 64, true);
    };
    launch<hopper_product<bug>>({{tiles(n, 128), tiles(m, 64)}, 160, kStages * 24576 + 16 * kStages}, map(a.data(), m, 64),
                                map(b.data(), n, 128), m, n, k, c.data());
    harness::wait();
    return matrices.same(c);
}

#if !defined(__CUDACC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
void seeded_bugs() {
    CAUGHT(staged, no_wait);
    CAUGHT(staged, wait_one_late);
    CAUGHT(staged, no_barrier);
    CAUGHT(staged, wrong_stage);
    CAUGHT(staged, refill_early);
    CAUGHT(staged, swapped_fragment, "", 24);
    CAUGHT(staged, wrong_swizzle, "", 24);
    CAUGHT(staged, row_off_by_one, "", 24);
    CAUGHT(staged, no_zero_fill, "");
    CAUGHT(staged, overrun, "shared memory overrun", 24);
    CAUGHT(staged, stray_write, "global memory", 24);
    CAUGHT(staged, uncommitted, "");
    CAUGHT(hopper, no_full_wait);
    CAUGHT(hopper, no_empty_wait);
    CAUGHT(hopper, early_release);
    CAUGHT(hopper, no_wgmma_fence, "wgmma.fence", 24);
    CAUGHT(hopper, no_wgmma_wait, "expected a wait for every operation", 24);
    CAUGHT(hopper, uncommitted_product, "expected a wait for every operation", 24);
    CAUGHT(hopper, one_warp_waits, "divergent warpgroup", 24);
    CAUGHT(hopper, init_by_all, "expected memory that holds no mbarrier", 24);
    CAUGHT(hopper, copy_too_many, "expected a wait for its mbarrier", 24);
    CAUGHT(hopper, wrong_parity, "deadlock", 24);
    CAUGHT(hopper, wrong_bytes, "");
    CAUGHT(hopper, wrong_count, "deadlock", 24);
    CAUGHT(hopper, no_init_barrier, "never initialised");
}
#endif

}  // namespace

// With an argument, one launch with a race, for TSan to see: the right numbers come out of it.
int main(int count, char**) {
    const bool hopper_too = harness::hopper();
    if (count > 1) return hopper<Bug::early_release>() ? 0 : 1;
    right("staged product", staged<Bug::none>);
    if (hopper_too) right("Hopper product", hopper<Bug::none>);
#if !defined(__CUDACC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    seeded_bugs();
#endif
    return check::summary("pipelines");
}
