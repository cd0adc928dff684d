// The gradient of convolution's bias: grad_b[k] = sum over n, p, q of grad_y[n,k,p,q].
//
// naive          in naive.cpp
// planar         a plane (n, k) is read along its rows, one vector sum a plane; then the planes of a channel are added up
// channels_last  vectors of channels; blocks of kBlock pixels, which are the parallel jobs, then the blocks are added up
//
// Partial sums lie in the workspace: where the sum is cut depends on the shape alone, and so do the bits. Bound by memory: grad_y
// is read once, in the order in which it lies.
#include <algorithm>

#include "engine/parallel.h"
#include "engine/simd.h"
#include "kernels/conv2d/conv2d.h"

namespace ww::WW_ISA {
namespace {

constexpr int64_t kBlock = 512;  // pixels; enough bytes for a job of its own from 16 channels on
constexpr int64_t kUnroll = 8;   // pixels, or vectors of a row, that are added in a tree before they join the running sum

constexpr int64_t grain(int64_t elements_each) { return 1 + 32768 / (elements_each + 1); }

template <class T>
int64_t lanes_up(int64_t n) {
    return (n + Vec<T>::width - 1) / Vec<T>::width * Vec<T>::width;
}

// The first n lanes; the others are zero.
template <class T>
WW_INLINE Vec<T> load(const T* p, int n) {
    return n == Vec<T>::width ? Vec<T>::load(p) : Vec<T>::load_partial(p, n);
}

template <class T>
WW_INLINE Vec<T> tree(const T* const* from, int64_t at, int n) {
    auto a = load(from[0] + at, n) + load(from[1] + at, n), b = load(from[2] + at, n) + load(from[3] + at, n);
    auto c = load(from[4] + at, n) + load(from[5] + at, n), d = load(from[6] + at, n) + load(from[7] + at, n);
    return (a + b) + (c + d);
}

// grad_b[k] = sum over i < count of partial[i * step + k], in order.
template <class T>
void add_up(const View& grad_b, const T* partial, int64_t count, int64_t step) {
    parallel_for(grad_b.shape[0], grain(count), [&](int64_t begin, int64_t end) {
        for (int64_t k = begin; k < end; k++) {
            T sum = 0;
            for (int64_t i = 0; i < count; i++) sum += partial[i * step + k];
            grad_b.ptr<T>()[k * grad_b.strides[0]] = sum;
        }
    });
}

// ---- channels last ---------------------------------------------------------------------------------------------------------

int64_t pixels(const View& grad_y) { return grad_y.shape[0] * grad_y.shape[2] * grad_y.shape[3]; }
int64_t blocks(const View& grad_y) { return (pixels(grad_y) + kBlock - 1) / kBlock; }

template <class T>
void channels_last(const Call& call) {
    const View &grad_b = call.view(0), &grad_y = call.view(1);
    constexpr int width = Vec<T>::width;
    int64_t K = grad_y.shape[1], P = grad_y.shape[2], Q = grad_y.shape[3], all = pixels(grad_y), step = lanes_up<T>(K);
    auto* partial = static_cast<T*>(call.workspace);
    parallel_for(blocks(grad_y), grain(kBlock * K), [&](int64_t begin, int64_t end) {
        for (int64_t block = begin; block < end; block++) {
            T* sums = partial + block * step;
            std::fill(sums, sums + step, T(0));
            int64_t i = block * kBlock, last = std::min(all, i + kBlock);
            int64_t q = i % Q, p = i / Q % P, n = i / Q / P;
            auto next = [&] {
                const T* at = grad_y.ptr<T>() + n * grad_y.strides[0] + p * grad_y.strides[2] + q * grad_y.strides[3];
                if (++q == Q && (q = 0, ++p == P)) p = 0, n++;
                return at;
            };
            for (; i + kUnroll <= last; i += kUnroll) {
                const T* from[kUnroll];
                for (auto& f : from) f = next();
                for (int64_t k = 0; k < K; k += width) {
                    int lanes = static_cast<int>(std::min<int64_t>(width, K - k));
                    (Vec<T>::load(sums + k) + tree(from, k, lanes)).store(sums + k);
                }
            }
            for (; i < last; i++) {
                const T* from = next();
                for (int64_t k = 0; k < K; k += width)
                    (Vec<T>::load(sums + k) + load(from + k, static_cast<int>(std::min<int64_t>(width, K - k)))).store(sums + k);
            }
        }
    });
    add_up(grad_b, partial, blocks(grad_y), step);
}

// With one channel a vector would hold one number: that is planar's.
bool is_channels_last(const Call& call) { return call.view(1).strides[1] == 1 && call.view(1).shape[1] > 1; }

size_t channels_last_bytes(const Call& call) {
    int64_t K = call.view(1).shape[1], step = call.dtype == DType::float32 ? lanes_up<float>(K) : lanes_up<double>(K);
    return static_cast<size_t>(blocks(call.view(1)) * step * item_size(call.dtype));
}

// ---- planar ----------------------------------------------------------------------------------------------------------------

template <class T>
void planar(const Call& call) {
    const View &grad_b = call.view(0), &grad_y = call.view(1);
    constexpr int width = Vec<T>::width;
    int64_t N = grad_y.shape[0], K = grad_y.shape[1], rows = grad_y.shape[2], length = grad_y.shape[3];
    if (grad_y.strides[2] == length) length *= rows, rows = 1;  // rows that follow each other are one
    auto* partial = static_cast<T*>(call.workspace);
    parallel_for(N * K, grain(rows * length), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            const T* plane = grad_y.ptr<T>() + i / K * grad_y.strides[0] + i % K * grad_y.strides[1];
            auto sum = Vec<T>::zero();
            for (int64_t row = 0; row < rows; row++) {
                const T* from = plane + row * grad_y.strides[2];
                int64_t q = 0;
                for (; q + kUnroll * width <= length; q += kUnroll * width) {
                    const T* vectors[kUnroll];
                    for (int64_t v = 0; v < kUnroll; v++) vectors[v] = from + q + v * width;
                    sum += tree(vectors, 0, width);
                }
                for (; q < length; q += width) sum += load(from + q, static_cast<int>(std::min<int64_t>(width, length - q)));
            }
            partial[i] = reduce_add(sum);
        }
    });
    add_up(grad_b, partial, N, K);
}

bool is_planar(const Call& call) { return call.view(1).strides[3] == 1; }

size_t planar_bytes(const Call& call) {
    return static_cast<size_t>(call.view(1).shape[0] * call.view(1).shape[1] * item_size(call.dtype));
}

constexpr Kernel kernels[] = {
    {&kConv2dBackwardB, "planar", WW_ISA_NAME, kFloats, by_float<planar<float>, planar<double>>, 1, is_planar, planar_bytes},
    {&kConv2dBackwardB, "channels_last", WW_ISA_NAME, kFloats, by_float<channels_last<float>, channels_last<double>>, 2,
     is_channels_last, channels_last_bytes},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
