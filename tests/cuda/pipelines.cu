// Kernels of the kinds that the engine has, each right under every schedule, and then with one bug each: the sweep must catch it,
// by a wrong result or by the error that is named. This is what shows that the simulator finds what it is for.
#include <cmath>

#include "engine/cuda/tensor_map.cuh"
#include "tests/cuda/harness.cuh"

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
    // of the recurrence
    no_grid_barrier, wrong_round, one_buffer, stale_counter,
    // of the reduction
    no_second_barrier, no_warp_barrier, half_the_lanes, unwritten_partial, lanes_leave,
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
    if (thread == 0) {
        for (uint32_t stage = 0; stage < kStages; stage++) {
            mbarrier_init(full + 8 * stage, 1);
            mbarrier_init(empty + 8 * stage, bug == Bug::wrong_count ? 5 : 4);
        }
        fence_mbarrier_init();
    }
    if constexpr (bug != Bug::no_init_barrier) __syncthreads();
    if (warp == 4) {
        if (lane == 0)
            for (int step = 0; step < steps; step++) {
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
            wgmma_commit();
            if constexpr (bug == Bug::early_release) {
                if (lane == 0) mbarrier_arrive(empty + 8 * stage);
            }
            if constexpr (bug == Bug::no_wgmma_wait) wgmma_wait<1>(sums);
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

// ---- persistent recurrence over a grid barrier: h <- (w h + x) % 97, rows shared among blocks --------------------------------

template <Bug bug>
__global__ void recurrence(int units, int steps, const int* w, const int* x, int* h, uint32_t* counter) {
    int rows = units / static_cast<int>(gridDim.x), lane = static_cast<int>(threadIdx.x % 32);
    int first = static_cast<int>(blockIdx.x) * rows, warps = static_cast<int>(blockDim.x / 32);
    for (int step = 0; step < steps; step++) {
        const int* from = h + step % 2 * units;
        int* to = h + (bug == Bug::one_buffer ? step % 2 : (step + 1) % 2) * units;
        for (int row = first + static_cast<int>(threadIdx.x / 32); row < first + rows; row += warps) {
            int sum = 0;
            for (int column = lane; column < units; column += 32) sum += w[row * units + column] * from[column];
            for (int by = 16; by; by /= 2) sum += __shfl_xor_sync(kFullMask, sum, by);
            if (lane == 0) to[row] = (sum + x[step * units + row]) % 97;
        }
        if constexpr (bug != Bug::no_grid_barrier)
            grid_barrier(counter, static_cast<uint32_t>(bug == Bug::wrong_round ? step : step + 1));
    }
}

template <Bug bug>
bool recurrent() {
    constexpr int units = 64, steps = 4, blocks = 4;
    Array<int> w(units * units, [](size_t i) { return static_cast<int>(i * 31 % 7); }),
        x(units * steps, [](size_t i) { return static_cast<int>(i % 5); });
    Array<int> h(2 * units);
    Array<uint32_t> counter(1);
    h.fill(0);
    counter[0] = bug == Bug::stale_counter ? blocks * steps : 0;
    launch<recurrence<bug>>({blocks, 96, 0, true}, units, steps, w.data(), x.data(), h.data(), counter.data());
    harness::wait();
    std::vector<int> expected(units, 0), next(units);
    for (int step = 0; step < steps; step++) {
        for (int row = 0; row < units; row++) {
            int sum = x[static_cast<size_t>(step * units + row)];
            for (int column = 0; column < units; column++)
                sum += w[static_cast<size_t>(row * units + column)] * expected[static_cast<size_t>(column)];
            next[static_cast<size_t>(row)] = sum % 97;
        }
        expected = next;
    }
    for (size_t i = 0; i < units; i++)
        if (h[static_cast<size_t>(steps % 2 * units) + i] != expected[i]) return false;
    return true;
}

// ---- sums of rows, two rows a block, shared memory used twice ----------------------------------------------------------------

template <Bug bug>
__global__ void row_sums(int n, const float* x, float* sums) {
    SharedMemory shared;
    float* partial = shared.take<float>(128);
    float* exchanged = shared.take<float>(32);
    const int thread = static_cast<int>(threadIdx.x);
    for (int row = 0; row < 2; row++) {
        float sum = 0;
        for (int i = thread; i < n; i += 128) sum += x[(static_cast<int>(blockIdx.x) * 2 + row) * n + i];
        if (bug != Bug::unwritten_partial || thread != 77) partial[thread] = sum;
        __syncthreads();
        if (thread < 32) {
            float total = partial[thread] + partial[thread + 32] + partial[thread + 64] + partial[thread + 96];
            exchanged[thread] = total;
            if constexpr (bug != Bug::no_warp_barrier) __syncwarp();
            total += exchanged[thread ^ 16];
            if constexpr (bug == Bug::lanes_leave) {
                if (thread >= 16) return;
            }
            for (int by = bug == Bug::half_the_lanes ? 4 : 8; by; by /= 2) total += __shfl_xor_sync(kFullMask, total, by);
            if (thread == 0) sums[static_cast<int>(blockIdx.x) * 2 + row] = total;
        }
        if constexpr (bug != Bug::no_second_barrier) __syncthreads();
    }
}

template <Bug bug>
bool reduced() {
    constexpr size_t rows = 6, n = 150;
    Array<float> x(rows * n, small), sums(rows);
    launch<row_sums<bug>>({rows / 2, 128, SharedSize().take<float>(128).take<float>(32).bytes}, static_cast<int>(n), x.data(),
                          sums.data());
    harness::wait();
    for (size_t row = 0; row < rows; row++) {
        float expected = 0;
        for (size_t i = 0; i < n; i++) expected += x[row * n + i];
        if (sums[row] != expected) return false;
    }
    return true;
}

// ---- the verdicts ------------------------------------------------------------------------------------------------------------

void right(const char* name, bool (*run)()) {
    harness::sweep([&](const char* schedule) {
        std::string error;
        bool holds = false;
        try {
            holds = run();
        } catch (const ww::Error& caught) {
            error = caught.what();
        }
        check::that(holds, (std::string(name) + " is right [" + schedule + "] " + error).c_str(), __FILE__, __LINE__);
    });
}

#if !defined(__CUDACC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// At least `least` of the schedules give a wrong result or an error with `words` in it; an error without them is no catch.
void caught(const char* name, bool (*run)(), const char* words = "", int least = 1) {
    int wrong = 0;
    std::string texts;
    harness::sweep([&](const char*) {
        try {
            wrong += !run() && !*words;
        } catch (const ww::DeviceError& error) {
            wrong += std::string(error.what()).find(words) != std::string::npos;
            texts = error.what();
        }
    });
    printf("  %-22s caught by %2d of 24 schedules  %s\n", name, wrong, texts.substr(0, 120).c_str());
    check::that(wrong >= least, (std::string(name) + " is caught: " + texts).c_str(), __FILE__, __LINE__);
}
#define CAUGHT(run, bug, ...) caught(#bug, run<Bug::bug>, ##__VA_ARGS__)

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
    CAUGHT(hopper, no_wgmma_wait);
    CAUGHT(hopper, wrong_parity, "deadlock", 24);
    CAUGHT(hopper, wrong_bytes, "");
    CAUGHT(hopper, wrong_count, "deadlock", 24);
    CAUGHT(hopper, no_init_barrier, "never initialised");
    CAUGHT(recurrent, no_grid_barrier);
    CAUGHT(recurrent, wrong_round);
    CAUGHT(recurrent, one_buffer);
    CAUGHT(recurrent, stale_counter);
    CAUGHT(reduced, no_second_barrier);
    CAUGHT(reduced, no_warp_barrier);
    CAUGHT(reduced, half_the_lanes, "", 24);
    CAUGHT(reduced, unwritten_partial, "", 24);
    CAUGHT(reduced, lanes_leave, "returned", 24);
}
#endif

}  // namespace

// With an argument, one launch with a race, for TSan to see: the right numbers come out of it.
int main(int count, char**) {
    if (count > 1) return hopper<Bug::early_release>() ? 0 : 1;
    right("staged product", staged<Bug::none>);
    right("Hopper product", hopper<Bug::none>);
    right("recurrence", recurrent<Bug::none>);
    right("row sums", reduced<Bug::none>);
#if !defined(__CUDACC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    seeded_bugs();
#endif
    return check::summary("pipelines");
}
