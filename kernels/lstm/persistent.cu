// The LSTM as one cooperative launch for the whole sequence (Diamos et al. 2016, "Persistent RNNs: Stashing Recurrent Weights
// On-Chip"): each block keeps the recurrent weights of 8 units in shared memory and computes these units for all samples and steps;
// after each step the blocks meet at a barrier made of a flag in global memory, since the next one needs the states of all units.
//
//   block         4 warps of 2 units; a lane has a sample, 32 at a time. U / 8 blocks, which must all be resident
//   shared bytes  4 x 8 x U weights, and 32 x 33 states: 20736 for 129 units in float32
// Serves equal lengths and as many units as the device can hold. Bound by the barrier and the latency of a step. The bits are those
// of `step`: the sums are the same chains.
#include <algorithm>

#include "kernels/lstm/cell.cuh"
#include "kernels/lstm/input_product.cuh"

namespace ww::cuda {
namespace {

constexpr int kWarps = 4, kUnitsOfWarp = 2, kUnits = kWarps * kUnitsOfWarp, kThreads = kWarps * 32, kSamples = 32, kSlice = 32;

// sums[unit of the warp][part] += sum over l < k of left(sample, l) weights[part][unit][l], the latter resident.
template <class T, int parts>
class ResidentProduct {
    static constexpr int kRow = kSlice + 1;  // odd: a column of samples is in as many banks

  public:
    static size_t shared_bytes(int64_t k) {
        return SharedSize().take<T>(static_cast<size_t>(parts * kUnits * k)).template take<T>(kSamples * kRow).bytes;
    }

    // right(part, unit of the block, l), read once; others see them after the first barrier of add.
    template <class Right>
    WW_DEVICE ResidentProduct(SharedMemory& shared, int64_t k, const Right& right)
        : k_(k), weights_(shared.take<T>(static_cast<size_t>(parts * kUnits * k))), slice_(shared.take<T>(kSamples * kRow)) {
        for (int64_t i = threadIdx.x; i < parts * kUnits * k; i += kThreads)
            weights_[i] = right(static_cast<int>(i / k / kUnits), static_cast<int>(i / k % kUnits), i % k);
    }

    template <class Left>
    WW_DEVICE void add(T (&sums)[kUnitsOfWarp][parts], const Left& left) const {
        const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
        for (int64_t l0 = 0; l0 < k_; l0 += kSlice) {
            if (l0 + lane < k_)
                for (int row = warp; row < kSamples; row += kWarps) slice_[row * kRow + lane] = left(row, l0 + lane);
            __syncthreads();
            const int used = static_cast<int>(k_ - l0 < kSlice ? k_ - l0 : kSlice);
            for (int i = 0; i < used; i++) {
                const T value = slice_[lane * kRow + i];
#pragma unroll
                for (int unit = 0; unit < kUnitsOfWarp; unit++)
#pragma unroll
                    for (int part = 0; part < parts; part++)
                        sums[unit][part] = accumulate(value, weights_[(part * kUnits + warp * kUnitsOfWarp + unit) * k_ + l0 + i],
                                                      sums[unit][part]);
            }
            __syncthreads();
        }
    }

  private:
    int64_t k_;
    T *weights_, *slice_;  // [part][unit][l] and [sample][l]
};

// Position p of a walk in which all samples have all steps.
struct EqualSteps {
    int64_t count, samples;
    bool reverse;
    WW_DEVICE Step at(int64_t p) const {
        if (p < 0 || p >= count) return {0, 0};
        return {(reverse ? count - 1 - p : p) * samples, samples};
    }
};

__global__ void __launch_bounds__(32) clear_flag(uint32_t* flag) {
    if (threadIdx.x == 0) *flag = 0;
}

template <class T>
__global__ void __launch_bounds__(kThreads) lstm_sequence(LstmForward v, EqualSteps steps, uint32_t* flag) {
    SharedMemory shared;
    const int64_t units = v.hidden.shape[1], u0 = int64_t{blockIdx.x} * kUnits;
    const ResidentProduct<T, 4> product(shared, units, [&](int gate, int unit, int64_t l) {
        return u0 + unit < units ? element<T>(v.weight, gate * units + u0 + unit, l) : T(0);
    });
    const auto lane = static_cast<int64_t>(threadIdx.x % 32), first = u0 + threadIdx.x / 32 * kUnitsOfWarp;
    for (int64_t p = 0; p < steps.count; p++) {
        const Step before = steps.at(p - 1), now = steps.at(p), after = steps.at(p + 1);
        for (int64_t n0 = 0; n0 < steps.samples; n0 += kSamples) {
            T sums[kUnitsOfWarp][4] = {};
            product.add(sums, [&](int row, int64_t l) {
                const int64_t n = n0 + row;
                if (n >= now.size) return T(0);
                return p > 0 ? element<T>(v.hidden, before.begin + n, l) : element<T>(v.initial_hidden, n, l);
            });
            for (int unit = 0; unit < kUnitsOfWarp; unit++)
                if (n0 + lane < now.size && first + unit < units)
                    lstm_cell(v, before, now, after, n0 + lane, first + unit, sums[unit]);
        }
        if (p + 1 < steps.count) grid_barrier(flag, static_cast<uint32_t>(p + 1));
    }
}

template <class T>
__global__ void __launch_bounds__(kThreads) lstm_sequence_backward(LstmBackward v, EqualSteps steps, uint32_t* flag) {
    SharedMemory shared;
    const int64_t units = v.grad_cell.shape[1], u0 = int64_t{blockIdx.x} * kUnits;
    const ResidentProduct<T, 1> product(
        shared, 4 * units, [&](int, int unit, int64_t l) { return u0 + unit < units ? element<T>(v.weight, l, u0 + unit) : T(0); });
    const auto lane = static_cast<int64_t>(threadIdx.x % 32), first = u0 + threadIdx.x / 32 * kUnitsOfWarp;
    for (int64_t p = steps.count - 1; p >= -1; p--) {
        const Step before = steps.at(p - 1), now = steps.at(p), after = steps.at(p + 1);
        for (int64_t n0 = 0; n0 < steps.samples; n0 += kSamples) {
            T sums[kUnitsOfWarp][1] = {};
            if (after.size)
                product.add(sums, [&](int row, int64_t l) {
                    return n0 + row < after.size ? element<T>(v.grad, after.begin + n0 + row, l) : T(0);
                });
            for (int unit = 0; unit < kUnitsOfWarp; unit++)
                if (n0 + lane < steps.samples && first + unit < units)
                    lstm_cell_backward(v, before, now, after, n0 + lane, first + unit, sums[unit][0]);
        }
        if (p >= 0) grid_barrier(flag, static_cast<uint32_t>(steps.count - p));
    }
}

size_t flag_bytes(const Call&) { return sizeof(uint32_t); }

// Whether the blocks of `units` units are resident, all at once.
template <auto kernel>
bool fits(int64_t units, size_t bytes) {
    const DeviceProperties device = device_properties();
    if (bytes > device.shared_bytes_per_block) return false;
    return ceil_div(units, kUnits) <= int64_t{resident_blocks<kernel>(kThreads, bytes)} * device.multiprocessors;
}

template <class T, auto kernel, class Arrays>
void run(const Call& call, const Arrays& v, int64_t rows, int64_t samples, int64_t units, size_t bytes) {
    auto* flag = static_cast<uint32_t*>(call.workspace);
    const EqualSteps steps{rows / samples, samples, call.flag(0)};
    launch<clear_flag>({1, 32}, flag);
    launch<kernel>({static_cast<unsigned>(ceil_div(units, kUnits)), kThreads, bytes, true}, v, steps, flag);
}

template <class T>
bool accepts_forward(const Call& call) {
    const int64_t rows = call.view(0).shape[0], units = call.view(0).shape[1];
    return !call.has(9) && rows > 0 && units > 0 && fits<lstm_sequence<T>>(units, ResidentProduct<T, 4>::shared_bytes(units));
}

template <class T>
void forward(const Call& call) {
    const LstmForward v(call);
    const int64_t units = v.hidden.shape[1];
    if (v.has_input) input_product<T>(v.gates, call.view(10), call.view(11));
    run<T, lstm_sequence<T>>(call, v, v.hidden.shape[0], v.final_hidden.shape[0], units,
                             ResidentProduct<T, 4>::shared_bytes(units));
}

template <class T>
bool accepts_backward(const Call& call) {
    const int64_t rows = call.view(0).shape[0], units = call.view(2).shape[1];
    return !call.has(10) && rows > 0 && units > 0 &&
           fits<lstm_sequence_backward<T>>(units, ResidentProduct<T, 1>::shared_bytes(4 * units));
}

template <class T>
void backward(const Call& call) {
    const LstmBackward v(call);
    const int64_t units = v.grad_cell.shape[1];
    run<T, lstm_sequence_backward<T>>(call, v, v.grad.shape[0], v.grad_cell.shape[0], units,
                                      ResidentProduct<T, 1>::shared_bytes(4 * units));
}

template <bool (*F32)(const Call&), bool (*F64)(const Call&)>
bool accepts_by_float(const Call& call) {
    return call.dtype == DType::float32 ? F32(call) : F64(call);
}

constexpr Kernel kernels[] = {
    {&kLstmForward, "persistent", WW_DEVICE_NAME, kFloats, by_float<forward<float>, forward<double>>, 0,
     accepts_by_float<accepts_forward<float>, accepts_forward<double>>, flag_bytes},
    {&kLstmBackward, "persistent", WW_DEVICE_NAME, kFloats, by_float<backward<float>, backward<double>>, 0,
     accepts_by_float<accepts_backward<float>, accepts_backward<double>>, flag_bytes},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
