// What clipping a gradient by its norm needs, on CUDA: the sum of squares over a list of tensors, and their scaling. Bound by
// bytes.
//
// Each tensor is cut into blocks of 4096 elements in the order of its memory; a block of 256 threads sums one by the fixed tree of
// kernels/reduce/reduction.cuh into the workspace, and a last block adds up all of those. All in float64.
#include "kernels/optimizer/multi_tensor.cuh"
#include "kernels/reduce/reduction.cuh"

namespace ww::cuda {
namespace {

template <class T>
struct Scale {
    static constexpr unsigned lists = 0b1, written = 0b1;
    T factor;
    WW_DEVICE void operator()(T* v) const { v[0] *= factor; }
};

template <class T>
void scale(const Call& call) {
    step_all<T>(call, Scale<T>{static_cast<T>(call.real(0))});
}

constexpr int64_t kBlock = 4096;

int64_t blocks_of(const View& v) { return ceil_div(v.size(), kBlock); }

size_t sum_squares_bytes(const Call& call) {
    int64_t blocks = 0;
    for (int k = 0; k < call.count(1); k++) blocks += blocks_of(call.view(1, k));
    return sizeof(double) * static_cast<size_t>(blocks);
}

template <class T>
__global__ void __launch_bounds__(kReduceThreads) square_blocks(MapPlan<1> plan, const T* x, double* sums) {
    SharedMemory shared;
    Value<double>* scratch = shared.take<Value<double>>(kReduceThreads / 32);
    for (int64_t block = blockIdx.x; block * kBlock < plan.size; block += gridDim.x) {
        const int64_t first = block * kBlock, n = plan.size - first < kBlock ? plan.size - first : kBlock;
        auto square = [&](int64_t i) -> Value<double> {
            int64_t at[1];
            plan.locate(first + i, at);
            const auto value = static_cast<double>(x[at[0]]);
            return {value * value};
        };
        const double sum = reduce_group<kReduceThreads>(n, Value<double>{0.0}, scratch, square, Add<double>()).v;
        if (threadIdx.x == 0) sums[block] = sum;
    }
}

__global__ void __launch_bounds__(kReduceThreads) add_blocks(int64_t n, const double* sums, double* total) {
    SharedMemory shared;
    Value<double>* scratch = shared.take<Value<double>>(kReduceThreads / 32);
    auto read = [&](int64_t i) -> Value<double> { return {sums[i]}; };
    const double sum = reduce_group<kReduceThreads>(n, Value<double>{0.0}, scratch, read, Add<double>()).v;
    if (threadIdx.x == 0) *total = sum;
}

template <class T>
void sum_squares(const Call& call) {
    auto* sums = static_cast<double*>(call.workspace);
    constexpr size_t shared_bytes = kReduceThreads / 32 * sizeof(Value<double>);
    int64_t blocks = 0;
    for (int k = 0; k < call.count(1); k++) {
        const MapPlan<1> plan({&call.view(1, k)});
        if (plan.size == 0) continue;
        const int64_t own = ceil_div(plan.size, kBlock);
        const auto grid = static_cast<unsigned>(std::min<int64_t>(own, 65536));
        launch<square_blocks<T>>({grid, kReduceThreads, shared_bytes}, plan, call.view(1, k).ptr<T>(), sums + blocks);
        blocks += own;
    }
    launch<add_blocks>({1, kReduceThreads, shared_bytes}, blocks, sums, call.view(0).ptr<double>());
}

constexpr Kernel kernels[] = {
    {&kScaleStep, "elements", WW_DEVICE_NAME, kFloats, by_float<scale<float>, scale<double>>},
    {&kSumSquares, "blocks", WW_DEVICE_NAME, kFloats, by_float<sum_squares<float>, sum_squares<double>>, 0, nullptr,
     sum_squares_bytes},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
