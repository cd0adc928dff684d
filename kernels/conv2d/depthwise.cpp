// Depthwise convolution (one channel and one filter a group) and its gradients, vectorised over channels that lie side by side:
//
//     y[n,p,q,c] = sum over (r, s) of x[n, p sh + r dh - ph, q sw + s dw - pw, c] * w[c,r,s]
//
// Sifre 2014, "Rigid-Motion Scattering for Image Classification", section 6.2; Howard et al. 2017 (arXiv 1704.04861), section 3.1.
// There is no reduction over channels that a matrix product could use, so the microkernel is another one: kPixels pixels times one
// tile row of channels, one multiply-add a tap. backward_x is the same sum over grad_y, phase by phase (lattice.h); backward_w sums
// over the pixels of a line in registers, then over lines, in splits that depend on the shapes alone.
// An input whose channels are apart is brought into channels-last order first. Bound by bytes: R * S multiply-adds an element.
#include <atomic>

#include "kernels/common/arena.h"
#include "kernels/common/epilogue.h"
#include "kernels/common/pack.h"
#include "kernels/conv2d/lattice.h"

namespace ww::WW_ISA {
namespace {

constexpr int kPixels = 4;           // side by side in a line; with Tile<T>::vectors of channels each they fill the registers
constexpr int64_t kSplitLines = 32;  // lines that backward_w sums up before it starts anew

int64_t padded_channels(int64_t channels, int64_t columns) { return (channels + columns - 1) / columns * columns; }

// out[n, i, j, c] = sum over taps t of in[n, i step_h + tap_h[t], j step_w + tap_w[t], c] * weights[t, c]
template <class T>
struct ChannelSum {
    const T* in;
    int64_t in_n, in_h, in_w, height, width, channels;
    int64_t taps_h, taps_w, tap_h, tap_h_step, tap_w, tap_w_step;  // of tap (a, b): tap_h + a tap_h_step, tap_w + b tap_w_step
    int64_t step_h, step_w;
    T* out;
    int64_t out_n, out_h, out_w, out_channel, n, rows, columns;
    const T *weights, *zeros;  // [taps][padded channels]; a pixel of padding
    Epilogue<T> epilogue;
};

template <bool Whole, class T>
WW_INLINE Vec<T> load_channels(const T* p, int left) {
    if constexpr (Whole) return Vec<T>::load(p);
    else return Vec<T>::load_partial(p, std::max(0, std::min(left, Vec<T>::width)));
}

// `count` pixels of line (n, i) from j on, channels [c, c + columns).
template <bool Whole, class T>
void sum_pixels(const ChannelSum<T>& s, int64_t n, int64_t i, int64_t j, int count, int64_t c, int columns) {
    constexpr int vectors = Tile<T>::vectors, lanes = Tile<T>::lanes;
    int64_t padded = padded_channels(s.channels, Tile<T>::columns);
    Vec<T> acc[kPixels][vectors];
    unroll<kPixels>([&](auto p) { unroll<vectors>([&](auto v) { acc[p][v] = Vec<T>::zero(); }); });
    const T* weights = s.weights + c;
    for (int64_t a = 0; a < s.taps_h; a++) {
        int64_t h = i * s.step_h + s.tap_h + a * s.tap_h_step;
        const T* line = h >= 0 && h < s.height ? s.in + n * s.in_n + h * s.in_h : nullptr;
        for (int64_t b = 0; b < s.taps_w; b++, weights += padded) {
            Vec<T> w[vectors];
            unroll<vectors>([&](auto v) { w[v] = Vec<T>::load(weights + v * lanes); });
            unroll<kPixels>([&](auto p) {
                int64_t at = (j + std::min<int>(p, count - 1)) * s.step_w + s.tap_w + b * s.tap_w_step;
                const T* pixel = (line && at >= 0 && at < s.width ? line + at * s.in_w : s.zeros) + c;
                unroll<vectors>([&](auto v) {
                    acc[p][v] = fma(load_channels<Whole>(pixel + v * lanes, columns - v * lanes), w[v], acc[p][v]);
                });
            });
        }
    }
    alignas(64) T tile[kPixels * Tile<T>::columns];
    int64_t to[kPixels];
    unroll<kPixels>([&](auto p) {
        to[p] = p * s.out_w;
        unroll<vectors>([&](auto v) { acc[p][v].store(tile + p * Tile<T>::columns + v * lanes); });
    });
    Epilogue<T> end = s.epilogue;
    if (end.bias) end.bias += c * end.column_stride;
    T* out = s.out + n * s.out_n + i * s.out_h + j * s.out_w + c * s.out_channel;
    store_tile(tile, TileTarget<T>{out, to, s.out_channel, count, columns}, false, &end);
}

template <class T>
void run_channel_sum(const ChannelSum<T>& s) {
    int64_t work = s.columns * s.channels * std::max<int64_t>(1, s.taps_h * s.taps_w);
    parallel_for(s.n * s.rows, 1 + 16384 / (work + 1), [&](int64_t begin, int64_t end) {
        for (int64_t line = begin; line < end; line++)
            for (int64_t j = 0; j < s.columns; j += kPixels)
                for (int64_t c = 0; c < s.channels; c += Tile<T>::columns) {
                    int count = static_cast<int>(std::min<int64_t>(kPixels, s.columns - j));
                    int columns = static_cast<int>(std::min<int64_t>(Tile<T>::columns, s.channels - c));
                    if (columns == Tile<T>::columns) sum_pixels<true>(s, line / s.rows, line % s.rows, j, count, c, columns);
                    else sum_pixels<false>(s, line / s.rows, line % s.rows, j, count, c, columns);
                }
    });
}

template <class T>
struct Workspace {
    T *picture, *weights, *zeros;
    size_t bytes;

    Workspace(void* base, const View& in, const Conv2d& g) {
        Arena arena(base);
        int64_t padded = padded_channels(g.C, Tile<T>::columns);
        picture = arena.take<T>(Picture<T>(in).copied ? in.size() : 0);
        weights = arena.take<T>(g.h.filter * g.w.filter * padded);
        zeros = arena.take<T>(padded);
        bytes = arena.used();
    }
};

// Filter taps (first_h + a step_h, first_w + b step_w) in the order of the sum, channels side by side.
template <class T>
void pack_taps(const View& w, const Phase& h, const Phase& v, T* to) {
    int64_t padded = padded_channels(w.shape[0], Tile<T>::columns);
    for (int64_t a = 0; a < h.taps; a++)
        for (int64_t b = 0; b < v.taps; b++, to += padded) {
            const T* from = w.ptr<T>() + h.tap(a) * w.strides[2] + v.tap(b) * w.strides[3];
            for (int64_t c = 0; c < w.shape[0]; c++) to[c] = from[c * w.strides[0]];
            std::fill(to + w.shape[0], to + padded, T(0));
        }
}

template <class T>
void forward(const Call& call) {
    const View &y = call.view(0), &x = call.view(1), &w = call.view(2), &b = call.view(3);
    Conv2d g = Conv2d::forward(call);
    if (y.size() == 0) return;
    Picture<T> layout(x);
    Workspace<T> space(call.workspace, x, g);
    if (layout.copied) to_channels_last(x, space.picture);
    std::fill(space.zeros, space.zeros + padded_channels(g.C, Tile<T>::columns), T(0));
    Phase all_h{g.h.out, 0, 1, g.h.filter}, all_w{g.w.out, 0, 1, g.w.filter};
    pack_taps(w, all_h, all_w, space.weights);
    run_channel_sum(ChannelSum<T>{
        layout.copied ? space.picture : x.ptr<T>(),
        layout.n,
        layout.h,
        layout.w,
        g.h.in,
        g.w.in,
        g.C,
        g.h.filter,
        g.w.filter,
        -g.h.padding,
        g.h.dilation,
        -g.w.padding,
        g.w.dilation,
        g.h.stride,
        g.w.stride,
        y.ptr<T>(),
        y.strides[0],
        y.strides[2],
        y.strides[3],
        y.strides[1],
        g.N,
        g.h.out,
        g.w.out,
        space.weights,
        space.zeros,
        {b.present() ? b.ptr<T>() : nullptr, 0, b.present() ? b.strides[0] : 0, static_cast<Activation>(call.integer(4))}});
}

template <class T>
void backward_x(const Call& call) {
    const View &grad_x = call.view(0), &grad_y = call.view(1), &w = call.view(2);
    Conv2d g = Conv2d::backward_x(call);
    if (grad_x.size() == 0) return;
    Picture<T> layout(grad_y);
    Workspace<T> space(call.workspace, grad_y, g);
    if (layout.copied) to_channels_last(grad_y, space.picture);
    std::fill(space.zeros, space.zeros + padded_channels(g.C, Tile<T>::columns), T(0));
    for (int64_t a = 0; a < std::min(g.h.stride, g.h.in); a++)
        for (int64_t b = 0; b < std::min(g.w.stride, g.w.in); b++) {
            Phase h = Phase::of(g.h, a), v = Phase::of(g.w, b);
            pack_taps(w, h, v, space.weights);
            const T* in = layout.copied ? space.picture : grad_y.ptr<T>();
            run_channel_sum(ChannelSum<T>{in,
                                          layout.n,
                                          layout.h,
                                          layout.w,
                                          g.h.out,
                                          g.w.out,
                                          g.C,
                                          h.taps,
                                          v.taps,
                                          h.output(g.h, a, 0),
                                          h.output(g.h, a, 1) - h.output(g.h, a, 0),
                                          v.output(g.w, b, 0),
                                          v.output(g.w, b, 1) - v.output(g.w, b, 0),
                                          1,
                                          1,
                                          grad_x.ptr<T>() + a * grad_x.strides[2] + b * grad_x.strides[3],
                                          grad_x.strides[0],
                                          grad_x.strides[2] * g.h.stride,
                                          grad_x.strides[3] * g.w.stride,
                                          grad_x.strides[1],
                                          g.N,
                                          h.positions,
                                          v.positions,
                                          space.weights,
                                          space.zeros,
                                          {nullptr, 0, 0, Activation::none}});
        }
}

template <class T>
size_t forward_bytes(const Call& call) {
    return Workspace<T>(nullptr, call.view(1), Conv2d::forward(call)).bytes;
}
template <class T>
size_t backward_x_bytes(const Call& call) {
    return Workspace<T>(nullptr, call.view(1), Conv2d::backward_x(call)).bytes;
}

// ---- backward_w ------------------------------------------------------------------------------------------------------------

template <class T>
struct WeightWorkspace {
    T *x, *grad, *partials;  // partials: [split][tap][padded channels]
    int64_t splits, partial;
    size_t bytes;

    WeightWorkspace(void* base, const Conv2d& g, const View& x_view, const View& grad_view) {
        Arena arena(base);
        splits = std::clamp<int64_t>((g.N * g.h.out + kSplitLines - 1) / kSplitLines, 1, 64);
        partial = g.h.filter * g.w.filter * padded_channels(g.C, Tile<T>::columns);
        x = arena.take<T>(Picture<T>(x_view).copied ? x_view.size() : 0);
        grad = arena.take<T>(Picture<T>(grad_view).copied ? grad_view.size() : 0);
        partials = arena.take<T>(splits * partial);
        bytes = arena.used();
    }
};

// sum[c] += sum over `count` pixels of x * grad, for one tile row of channels.
template <bool Whole, class T>
void sum_line(const T* x, int64_t x_step, const T* grad, int64_t grad_step, int64_t count, int columns, T* sum) {
    constexpr int vectors = Tile<T>::vectors, lanes = Tile<T>::lanes;
    Vec<T> acc[vectors];
    unroll<vectors>([&](auto v) { acc[v] = Vec<T>::load(sum + v * lanes); });
    for (int64_t q = 0; q < count; q++, x += x_step, grad += grad_step)
        unroll<vectors>([&](auto v) {
            auto gradient = load_channels<Whole>(grad + v * lanes, columns - v * lanes);
            acc[v] = fma(load_channels<Whole>(x + v * lanes, columns - v * lanes), gradient, acc[v]);
        });
    unroll<vectors>([&](auto v) { acc[v].store(sum + v * lanes); });
}

template <class T>
void backward_w(const Call& call) {
    const View &grad_w = call.view(0), &x_view = call.view(1), &grad_view = call.view(2);
    Conv2d g = Conv2d::backward_w(call);
    if (grad_w.size() == 0) return;
    WeightWorkspace<T> space(call.workspace, g, x_view, grad_view);
    Picture<T> x_layout(x_view), grad_layout(grad_view);
    if (x_layout.copied) to_channels_last(x_view, space.x);
    if (grad_layout.copied) to_channels_last(grad_view, space.grad);
    const T* x = x_layout.copied ? space.x : x_view.ptr<T>();
    const T* grad = grad_layout.copied ? space.grad : grad_view.ptr<T>();
    int64_t padded = padded_channels(g.C, Tile<T>::columns);
    int64_t lines = g.N * g.h.out, each = (lines + space.splits - 1) / space.splits;

    parallel_for(space.splits, 1, [&](int64_t begin, int64_t end) {
        for (int64_t split = begin; split < end; split++) {
            T* sums = space.partials + split * space.partial;
            std::fill(sums, sums + space.partial, T(0));
            for (int64_t line = split * each; line < std::min(lines, (split + 1) * each); line++) {
                int64_t n = line / g.h.out, p = line % g.h.out;
                for (int64_t tap = 0; tap < g.h.filter * g.w.filter; tap++) {
                    int64_t r = tap / g.w.filter, s = tap % g.w.filter, q = g.w.first_output(s), count = g.w.last_output(s) - q;
                    if (p < g.h.first_output(r) || p >= g.h.last_output(r) || count <= 0) continue;
                    const T* from = x + n * x_layout.n + g.h.input(p, r) * x_layout.h + g.w.input(q, s) * x_layout.w;
                    const T* with = grad + n * grad_layout.n + p * grad_layout.h + q * grad_layout.w;
                    for (int64_t c = 0; c < g.C; c += Tile<T>::columns) {
                        int columns = static_cast<int>(std::min<int64_t>(Tile<T>::columns, g.C - c));
                        auto sum = columns == Tile<T>::columns ? sum_line<true, T> : sum_line<false, T>;
                        sum(from + c, g.w.stride * x_layout.w, with + c, grad_layout.w, count, columns, sums + tap * padded + c);
                    }
                }
            }
        }
    });
    for (int64_t tap = 0; tap < g.h.filter * g.w.filter; tap++)
        for (int64_t c = 0; c < g.C; c++) {
            T sum = space.partials[tap * padded + c];
            for (int64_t split = 1; split < space.splits; split++) sum += space.partials[split * space.partial + tap * padded + c];
            int64_t r = tap / g.w.filter, s = tap % g.w.filter;
            grad_w.ptr<T>()[c * grad_w.strides[0] + r * grad_w.strides[2] + s * grad_w.strides[3]] = sum;
        }
}

template <class T>
size_t backward_w_bytes(const Call& call) {
    return WeightWorkspace<T>(nullptr, Conv2d::backward_w(call), call.view(1), call.view(2)).bytes;
}

bool depthwise(const Conv2d& g) { return g.groups > 1 && g.Cg == 1 && g.Kg == 1; }
bool accepts_forward(const Call& call) { return depthwise(Conv2d::forward(call)); }
bool accepts_backward_x(const Call& call) { return depthwise(Conv2d::backward_x(call)); }
bool accepts_backward_w(const Call& call) { return depthwise(Conv2d::backward_w(call)); }

constexpr Kernel kernels[] = {
    {&kConv2dForward, "depthwise", WW_ISA_NAME, kFloats, by_float<forward<float>, forward<double>>, 20, accepts_forward,
     bytes_by_float<forward_bytes<float>, forward_bytes<double>>},
    {&kConv2dBackwardX, "depthwise", WW_ISA_NAME, kFloats, by_float<backward_x<float>, backward_x<double>>, 20, accepts_backward_x,
     bytes_by_float<backward_x_bytes<float>, backward_x_bytes<double>>},
    {&kConv2dBackwardW, "depthwise", WW_ISA_NAME, kFloats, by_float<backward_w<float>, backward_w<double>>, 20, accepts_backward_w,
     bytes_by_float<backward_w_bytes<float>, backward_w_bytes<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
