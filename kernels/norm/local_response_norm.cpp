// Local-response normalisation over windows of channels, forward and backward: both are a term an element, the sum of the terms of
// a window, and a result from that sum.
//
// rows     vectors along L: a strip of four vectors goes through the channels, and its last 16 terms stay on the stack; of longer
//          windows they are computed anew
// columns  vectors along C, where channels lie side by side: the terms of 128 channels and of their windows stay on the stack
//
// Each element is read once and written once (with `scale`, twice). Bound by memory, or by the power where beta is not 0.75.
#include <algorithm>

#include "engine/parallel.h"
#include "kernels/common/row.h"
#include "kernels/common/vector_math.h"
#include "kernels/norm/norm.h"

namespace ww::WW_ISA {
namespace {

constexpr int kVectors = 4, kRing = 16;
constexpr int64_t kChannels = 128, kWidest = 256;  // of a block of columns, and of a window there

// d^-beta. The exponent of the paper, 3/4, is two square roots.
template <class T>
struct Power {
    T beta;
    bool three_quarters;
    explicit Power(double b) : beta(static_cast<T>(b)), three_quarters(b == 0.75) {}
    WW_INLINE Vec<T> operator()(Vec<T> d) const {
        if (!three_quarters) return exp(log(d) * Vec<T>(-beta));
        Vec<T> root = sqrt(d);
        return Vec<T>(T(1)) / (root * sqrt(root));
    }
};

// Vectors at element (n, c, l) of a view, along dimension `along`.
template <class T, int along>
struct Place {
    int64_t n, c, l;
    WW_INLINE Vec<T> load(const View& v, int lanes) const {
        const T* at = v.ptr<T>() + n * v.strides[0] + c * v.strides[1] + l * v.strides[2];
        return Row<const T>{at, v.strides[along]}.load(0, lanes);
    }
    WW_INLINE void store(const View& v, int lanes, Vec<T> value) const {
        T* at = v.ptr<T>() + n * v.strides[0] + c * v.strides[1] + l * v.strides[2];
        Row<T>{at, v.strides[along]}.store(0, lanes, value);
    }
};

template <class T>
struct Forward {
    const View &y, &scale, &x;
    Power<T> power;
    T share, k;
    int64_t before, after;

    explicit Forward(const Call& call)
        : y(call.view(0)),
          scale(call.view(1)),
          x(call.view(2)),
          power(call.real(2)),
          share(static_cast<T>(call.real(1) / static_cast<double>(call.integer(0)))),
          k(static_cast<T>(call.real(3))),
          before(call.integer(0) / 2),
          after((call.integer(0) - 1) / 2) {}
    const View& shape() const { return y; }
    template <class P>
    WW_INLINE Vec<T> term(P at, int lanes) const {
        Vec<T> v = at.load(x, lanes);
        return v * v;
    }
    template <class P>
    WW_INLINE void finish(P at, int lanes, Vec<T> sum) const {
        Vec<T> d = Vec<T>(k) + Vec<T>(share) * sum;
        if (scale.present()) at.store(scale, lanes, d);
        at.store(y, lanes, at.load(x, lanes) * power(d));
    }
};

template <class T>
struct Backward {
    const View &grad_x, &grad_y, &scale, &x;
    Power<T> power;
    T factor;
    int64_t before, after;

    explicit Backward(const Call& call)
        : grad_x(call.view(0)),
          grad_y(call.view(1)),
          scale(call.view(2)),
          x(call.view(3)),
          power(call.real(2)),
          factor(static_cast<T>(2 * call.real(1) * call.real(2) / static_cast<double>(call.integer(0)))),
          before((call.integer(0) - 1) / 2),
          after(call.integer(0) / 2) {}
    const View& shape() const { return grad_x; }
    template <class P>
    WW_INLINE Vec<T> term(P at, int lanes) const {
        Vec<T> d = at.load(scale, lanes);
        return at.load(grad_y, lanes) * at.load(x, lanes) * power(d) / d;
    }
    template <class P>
    WW_INLINE void finish(P at, int lanes, Vec<T> sum) const {
        Vec<T> direct = at.load(grad_y, lanes) * power(at.load(scale, lanes));
        at.store(grad_x, lanes, direct - Vec<T>(factor) * at.load(x, lanes) * sum);
    }
};

template <class T, template <class> class Pass>
void rows(const Call& call) {
    const Pass<T> pass(call);
    constexpr int width = Vec<T>::width;
    constexpr int64_t strip = kVectors * width;
    const int64_t channels = pass.shape().shape[1], length = pass.shape().shape[2], strips = (length + strip - 1) / strip;
    const bool short_window = std::min(pass.before, channels) + std::min(pass.after, channels) < kRing;
    parallel_for(pass.shape().shape[0] * strips, 1 + 8192 / (strip * channels + 1), [&](int64_t begin, int64_t end) {
        Vec<T> ring[kVectors][kRing];
        for (int64_t task = begin; task < end; task++) {
            const int64_t n = task / strips, start = task % strips * strip;
            int lanes[kVectors];
            for (int v = 0; v < kVectors; v++)
                lanes[v] = static_cast<int>(std::clamp<int64_t>(length - start - v * width, 0, width));
            auto term = [&](int64_t c, int v) { return pass.term(Place<T, 2>{n, c, start + v * width}, lanes[v]); };
            int64_t known = 0;  // channels whose terms have been computed
            for (int64_t c = 0; c < channels; c++) {
                int64_t first = c - std::min(pass.before, c), last = c + std::min(pass.after, channels - 1 - c);
                for (; short_window && known <= last; known++)
                    for (int v = 0; v < kVectors && lanes[v]; v++) ring[v][known % kRing] = term(known, v);
                for (int v = 0; v < kVectors && lanes[v]; v++) {
                    Vec<T> sum = Vec<T>::zero();
                    for (int64_t j = first; j <= last; j++) sum += short_window ? ring[v][j % kRing] : term(j, v);
                    pass.finish(Place<T, 2>{n, c, start + v * width}, lanes[v], sum);
                }
            }
        }
    });
}

template <class T, template <class> class Pass>
void columns(const Call& call) {
    const Pass<T> pass(call);
    const int64_t channels = pass.shape().shape[1], length = pass.shape().shape[2];
    const int64_t before = std::min(pass.before, channels), after = std::min(pass.after, channels);
    parallel_for(pass.shape().shape[0] * length, 1 + 8192 / (channels + 1), [&](int64_t begin, int64_t end) {
        alignas(64) T terms[kChannels + kWidest + Vec<T>::width];
        for (int64_t row = begin; row < end; row++) {
            const int64_t n = row / length, l = row % length;
            for (int64_t c = 0; c < channels; c += kChannels) {
                const int64_t used = std::min(kChannels, channels - c), first = std::max<int64_t>(0, c - before);
                const int64_t last = std::min(channels, c + used + after);  // terms[j] is that of channel c - before + j
                T* at = terms + (first - (c - before));
                std::fill(terms, at, T(0));
                for_row<T>(last - first, [&](int64_t i, int lanes) {
                    store_lanes(at + i, lanes, pass.term(Place<T, 1>{n, first + i, l}, lanes));
                });
                std::fill(at + (last - first), terms + before + used + after + Vec<T>::width, T(0));
                for_row<T>(used, [&](int64_t i, int lanes) {
                    Vec<T> sum = Vec<T>::zero();
                    for (int64_t j = 0; j <= before + after; j++) sum += Vec<T>::load(terms + i + j);
                    pass.finish(Place<T, 1>{n, c + i, l}, lanes, sum);
                });
            }
        }
    });
}

template <int views>
bool channels_are_dense(const Call& call) {
    const View& first = call.view(0);
    for (int i = 0; i < views; i++)
        if (call.view(i).present() && call.view(i).strides[1] != 1) return false;
    return first.shape[1] > 1 && std::min(call.integer(0), 2 * first.shape[1]) < kWidest;
}

constexpr Kernel kernels[] = {
    {&kLocalResponseNormForward, "rows", WW_ISA_NAME, kFloats, by_float<rows<float, Forward>, rows<double, Forward>>},
    {&kLocalResponseNormForward, "columns", WW_ISA_NAME, kFloats, by_float<columns<float, Forward>, columns<double, Forward>>, 1,
     channels_are_dense<3>},
    {&kLocalResponseNormBackwardX, "rows", WW_ISA_NAME, kFloats, by_float<rows<float, Backward>, rows<double, Backward>>},
    {&kLocalResponseNormBackwardX, "columns", WW_ISA_NAME, kFloats, by_float<columns<float, Backward>, columns<double, Backward>>,
     1, channels_are_dense<4>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
