// What clipping a gradient by its norm needs: the sum of squares over a list of tensors, and their scaling. Bound by memory.
#include "kernels/optimizer/multi_tensor.h"

namespace ww::WW_ISA {
namespace {

template <class T>
void scale(const Call& call) {
    const Vec<T> factor(static_cast<T>(call.real(0)));
    step_all<T, 0b1, 0b1>(call, [=](Vec<T>* v) { v[0] = v[0] * factor; });
}

constexpr int64_t kBlock = 4096;

int64_t blocks_of(const View& v) { return (v.size() + kBlock - 1) / kBlock; }

size_t sum_squares_bytes(const Call& call) {
    size_t blocks = 0;
    for (int k = 0; k < call.count(1); k++) blocks += static_cast<size_t>(blocks_of(call.view(1, k)));
    return sizeof(double) * blocks + sizeof(int64_t) * static_cast<size_t>(call.count(1));
}

template <class T>
double block_squares(const View& v, int64_t from, int64_t to) {
    bool dense = v.is_dense();
    Rows rows(v, dense);
    double sum = 0;
    for (int64_t e = from; e < to;) {
        int64_t count = dense ? to - e : std::min(to - e, rows.length - e % rows.length);
        Row<const T> row = {v.ptr<T>() + rows.offset(e), rows.stride()};
        sum += row_sum<double>(count, [&](int64_t i, int lanes) {
            const T* from = row.data + i * row.stride;
            Vec<double> x = Vec<double>::zero();
            if (row.stride == 1 && lanes == Vec<double>::width)
                for (int j = 0; j < Vec<double>::width; j++) x.v[j] = static_cast<double>(from[j]);
            else
                for (int j = 0; j < lanes; j++) x.v[j] = static_cast<double>(from[j * row.stride]);
            return x * x;
        });
        e += count;
    }
    return sum;
}

template <class T>
void sum_squares(const Call& call) {
    auto* ends = static_cast<int64_t*>(call.workspace);  // one past the last block of tensor k
    int tensors = call.count(1);
    int64_t blocks = 0;
    for (int k = 0; k < tensors; k++) ends[k] = blocks += blocks_of(call.view(1, k));
    auto* sums = reinterpret_cast<double*>(ends + tensors);
    parallel_for(blocks, 8, [&](int64_t begin, int64_t end) {
        for (int64_t block = begin; block < end; block++) {
            auto k = static_cast<int>(std::upper_bound(ends, ends + tensors, block) - ends);
            const View& v = call.view(1, k);
            int64_t from = (block - (k ? ends[k - 1] : 0)) * kBlock;
            sums[block] = block_squares<T>(v, from, std::min(v.size(), from + kBlock));
        }
    });
    double total = 0;
    for (int64_t block = 0; block < blocks; block++) total += sums[block];
    *call.view(0).ptr<double>() = total;
}

constexpr Kernel kernels[] = {
    {&kScaleStep, "fused", WW_ISA_NAME, kFloats, by_float<scale<float>, scale<double>>, 0, nullptr, ends_bytes},
    {&kSumSquares, "blocks", WW_ISA_NAME, kFloats, by_float<sum_squares<float>, sum_squares<double>>, 0, nullptr,
     sum_squares_bytes},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
