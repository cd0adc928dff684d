// Kernels whose threads work together through shared memory, shuffles and a grid barrier, each right under every schedule, and then
// with one bug each: the sweep must catch it, as in pipelines.cu.
#include "tests/cuda/verdict.cuh"

namespace {

using namespace ww::cuda;
using harness::Array;
using harness::small;

enum class Bug {  // clang-format off
    none,
    // of the recurrence
    no_grid_barrier, wrong_round, one_buffer, stale_counter,
    // of the reduction
    no_second_barrier, no_warp_barrier, half_the_lanes, unwritten_partial, lanes_leave,
};  // clang-format on

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

#if !defined(__CUDACC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
void seeded_bugs() {
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

int main() {
    right("recurrence", recurrent<Bug::none>);
    right("row sums", reduced<Bug::none>);
#if !defined(__CUDACC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    seeded_bugs();
#endif
    return check::summary("cooperation");
}
