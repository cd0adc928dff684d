// Attention with a warp for each row of a result: a query's output or gradient, or a key's. Contracts and formulas in attention.h.
//
// Forward: the lanes walk over the keys, each with a running maximum and sum (Milakov and Gimelshein 2018, arXiv 1805.02867,
// algorithm 3), which are joined to the logsumexp; then 32 weights at a time are computed, one a lane, put into shared memory, and
// each lane adds up 32 terms for its own column. Backward: p = exp(s - logsumexp) anew, 32 columns of the gradient at a time (Dao
// et al. 2022, arXiv 2205.14135, algorithm 4).
//
//   block         8 warps, 8 rows of one matrix of the batch
//   shared bytes  a weight a lane: 1024 in float32, 2048 in float64
// Bound by the L1 cache: no key is kept for the next row, and the scores are computed once for every 32 columns.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention/attention.h"
#include "kernels/common/epilogue.cuh"
#include "kernels/common/view_element.cuh"

namespace ww::cuda {
namespace {

constexpr int kWarps = 8, kThreads = kWarps * 32;

// One matrix of a batch; a view [..., rows] is a column. `data` is nullptr for an argument that was not given.
template <class T>
struct Matrix {
    T* data = nullptr;
    int64_t row = 0, column = 0;

    WW_DEVICE Matrix(const View& v, int lead, int64_t index) {
        if (v.ndim < 0) return;
        data = static_cast<T*>(v.data) + offset_of_row(v, lead, index);
        row = v.strides[lead], column = v.ndim > lead + 1 ? v.strides[lead + 1] : 0;
    }
    WW_DEVICE T& operator()(int64_t i, int64_t j) const { return data[i * row + j * column]; }
};

// The views of the gradients of a call; forward leaves the second three out.
struct Arrays {
    View query, key, value, bias, keep, grad_out, delta, logsumexp;
    double scale;
    bool causal;
    int lead;
    int64_t batch, l, s, e, f;

    // `first` is the place of query in the signature; where `backward`, grad_out, delta and logsumexp stand before it.
    Arrays(const Call& call, int first, bool backward)
        : query(call.view(first)),
          key(call.view(first + 1)),
          value(call.view(first + 2)),
          bias(call.view(first + 3)),
          keep(call.view(first + 4)),
          scale(call.real(0)),
          causal(call.flag(1)),
          lead(query.ndim - 2),
          batch(1),
          l(query.shape[lead]),
          s(key.shape[lead]),
          e(query.shape[lead + 1]),
          f(value.shape[lead + 1]) {
        for (int d = 0; d < lead; d++) batch *= query.shape[d];
        if (backward) grad_out = call.view(first - 3), delta = call.view(first - 2), logsumexp = call.view(first - 1);
    }
};

template <class T>
WW_DEVICE T dot(const Matrix<const T>& a, int64_t i, const Matrix<const T>& b, int64_t j, int64_t n) {
    T sum = 0;
    for (int64_t x = 0; x < n; x++) sum = accumulate(a(i, x), b(j, x), sum);
    return sum;
}

// What each pair of a query and a key needs, for one matrix of the batch.
template <class T>
struct Pairs {
    Matrix<const T> query, key, value, bias, grad_out, delta, logsumexp;
    Matrix<const bool> keep;
    T scale;
    bool causal;
    int64_t e, f;

    WW_DEVICE Pairs(const Arrays& a, int64_t index)
        : query(a.query, a.lead, index),
          key(a.key, a.lead, index),
          value(a.value, a.lead, index),
          bias(a.bias, a.lead, index),
          grad_out(a.grad_out, a.lead, index),
          delta(a.delta, a.lead, index),
          logsumexp(a.logsumexp, a.lead, index),
          keep(a.keep, a.lead, index),
          scale(static_cast<T>(a.scale)),
          causal(a.causal),
          e(a.e),
          f(a.f) {}

    WW_DEVICE T score(int64_t i, int64_t j) const {
        if ((causal && j > i) || (keep.data && !keep(i, j))) return -std::numeric_limits<T>::infinity();
        const T product = scale * dot(query, i, key, j, e);
        return bias.data ? product + bias(i, j) : product;
    }
    // A row that is all masked has weights 0, not exp(-Inf - -Inf).
    WW_DEVICE T weight(int64_t i, int64_t j) const {
        const T shift = logsumexp(i, 0);
        return shift == -std::numeric_limits<T>::infinity() ? T(0) : std::exp(score(i, j) - shift);
    }
    WW_DEVICE T change(int64_t i, int64_t j, T p) const { return p * (dot(grad_out, i, value, j, f) - delta(i, 0)); }
};

// The row of this warp, and which matrix of the batch it is in; whole warps have none.
struct Place {
    int64_t index, row, lane;
    WW_DEVICE explicit Place(int64_t rows) {
        const int64_t at = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32;
        index = at / rows, row = at % rows, lane = threadIdx.x % 32;
    }
};

inline LaunchConfig warp_grid(int64_t rows, size_t shared_bytes) {
    return {static_cast<unsigned>(ceil_div(rows, kWarps)), kThreads, shared_bytes};
}

// to(x, sum over r < n of weight(r) matrix(r, x)) for x < columns, 32 terms and 32 columns at a time. `weights` holds one a lane.
template <class T, class Weight, class To>
WW_DEVICE void sum_weighted(T* weights, int64_t n, const Weight& weight, const Matrix<const T>& matrix, int64_t columns,
                            const To& to) {
    const int lane = static_cast<int>(threadIdx.x % 32);
    for (int64_t x = lane; x - lane < columns; x += 32) {
        T sum = 0;
        for (int64_t r = 0; r < n; r += 32) {
            if (r + lane < n) weights[lane] = weight(r + lane);
            __syncwarp();
            const int used = static_cast<int>(n - r < 32 ? n - r : 32);
            if (x < columns)
                for (int i = 0; i < used; i++) sum = accumulate(weights[i], matrix(r + i, x), sum);
            __syncwarp();
        }
        if (x < columns) to(x, sum);
    }
}

// The largest of the scores that a lane has seen, and the sum of their exponentials about it.
template <class T>
struct Running {
    T top, sum;

    WW_DEVICE void join(T other_top, T other_sum) {
        const T low = -std::numeric_limits<T>::infinity();
        const T larger = other_top > top || other_top != other_top ? other_top : top;
        if (larger == low) return;  // -Inf minus -Inf would be NaN
        sum = sum * std::exp(top - larger) + other_sum * std::exp(other_top - larger);
        top = larger;
    }
};

template <class T>
__global__ void __launch_bounds__(kThreads) attend(Arrays a, View out, View logsumexp) {
    SharedMemory shared;
    T* weights = shared.take<T>(kThreads) + threadIdx.x / 32 * 32;
    const Place at(a.l);
    if (at.index >= a.batch) return;
    const Pairs<T> pairs(a, at.index);
    const Matrix<T> to(out, a.lead, at.index), sums(logsumexp, a.lead, at.index);
    const int64_t i = at.row, keys = a.causal && i < a.s ? i + 1 : a.s;
    Running<T> all{-std::numeric_limits<T>::infinity(), T(0)};
    for (int64_t j = at.lane; j < keys; j += 32) all.join(pairs.score(i, j), T(1));
#pragma unroll
    for (int by = 1; by < 32; by *= 2) {
        const T top = __shfl_xor_sync(kFullMask, all.top, by), sum = __shfl_xor_sync(kFullMask, all.sum, by);
        all.join(top, sum);
    }
    const bool nothing = all.top == -std::numeric_limits<T>::infinity();
    if (at.lane == 0) sums(i, 0) = nothing ? all.top : all.top + std::log(all.sum);
    sum_weighted(
        weights, keys, [&](int64_t j) { return nothing ? T(0) : std::exp(pairs.score(i, j) - all.top) / all.sum; }, pairs.value,
        a.f, [&](int64_t x, T sum) { to(i, x) = sum; });
}

template <class T>
__global__ void __launch_bounds__(kThreads) differentiate_query(Arrays a, View grad_query) {
    SharedMemory shared;
    T* weights = shared.take<T>(kThreads) + threadIdx.x / 32 * 32;
    const Place at(a.l);
    if (at.index >= a.batch) return;
    const Pairs<T> pairs(a, at.index);
    const Matrix<T> to(grad_query, a.lead, at.index);
    const int64_t i = at.row, keys = a.causal && i < a.s ? i + 1 : a.s;
    sum_weighted(
        weights, keys, [&](int64_t j) { return pairs.change(i, j, pairs.weight(i, j)); }, pairs.key, a.e,
        [&](int64_t x, T sum) { to(i, x) = pairs.scale * sum; });
}

template <class T>
__global__ void __launch_bounds__(kThreads) differentiate_key_value(Arrays a, View grad_key, View grad_value) {
    SharedMemory shared;
    T* weights = shared.take<T>(kThreads) + threadIdx.x / 32 * 32;
    const Place at(a.s);
    if (at.index >= a.batch) return;
    const Pairs<T> pairs(a, at.index);
    const Matrix<T> to_key(grad_key, a.lead, at.index), to_value(grad_value, a.lead, at.index);
    const int64_t j = at.row;
    sum_weighted(
        weights, a.l, [&](int64_t i) { return pairs.change(i, j, pairs.weight(i, j)); }, pairs.query, a.e,
        [&](int64_t x, T sum) { to_key(j, x) = pairs.scale * sum; });
    sum_weighted(
        weights, a.l, [&](int64_t i) { return pairs.weight(i, j); }, pairs.grad_out, a.f,
        [&](int64_t x, T sum) { to_value(j, x) = sum; });
}

template <class T>
constexpr size_t kSharedBytes = SharedSize().take<T>(kThreads).bytes;

template <class T>
void forward(const Call& call) {
    const Arrays a(call, 2, false);
    if (a.batch > 0 && a.l > 0) launch<attend<T>>(warp_grid(a.batch * a.l, kSharedBytes<T>), a, call.view(0), call.view(1));
}

template <class T>
void backward_query(const Call& call) {
    const Arrays a(call, 4, true);
    if (a.batch > 0 && a.l > 0) launch<differentiate_query<T>>(warp_grid(a.batch * a.l, kSharedBytes<T>), a, call.view(0));
}

template <class T>
void backward_key_value(const Call& call) {
    const Arrays a(call, 5, true);
    if (a.batch > 0 && a.s > 0)
        launch<differentiate_key_value<T>>(warp_grid(a.batch * a.s, kSharedBytes<T>), a, call.view(0), call.view(1));
}

constexpr Kernel kernels[] = {
    {&kAttentionForward, "warp_rows", WW_DEVICE_NAME, kFloats, by_float<forward<float>, forward<double>>},
    {&kAttentionBackwardQuery, "warp_rows", WW_DEVICE_NAME, kFloats, by_float<backward_query<float>, backward_query<double>>},
    {&kAttentionBackwardKeyValue, "warp_rows", WW_DEVICE_NAME, kFloats,
     by_float<backward_key_value<float>, backward_key_value<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
