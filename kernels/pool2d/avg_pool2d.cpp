// Mean pooling over strided or adaptive windows.
//   y[n,c,p,q] = (sum over the window) / divisor;   grad_x[n,c,h,w] = sum over covering windows of grad_y / divisor
//
// naive          one window at a time, any strides; backward_x adds each window's share to its plane, which one thread owns
// channels_last  vectors of channels. backward_x is turned round: a position gathers from the windows that cover it, so that grad_x
//                is written once and never read
// planar         forward only: vectors of neighbouring windows q, q + 1, ... (every stride-th element of a row)
//
// All sums are in scan order from zero, so the variants agree to the bit. Bound by memory: x is read once, y written once.
#include "engine/parallel.h"
#include "kernels/pool2d/avg_window.h"

namespace ww::WW_ISA {
namespace {

// ---- naive -----------------------------------------------------------------------------------------------------------------

template <class T>
WW_INLINE T mean_window(const AvgPool& pool, int64_t p, int64_t q, const T* plane, int64_t stride_h, int64_t stride_w) {
    T sum = 0;
    for (int64_t h = pool.h.begin(p), h1 = pool.h.end(p), w1 = pool.w.end(q); h < h1; h++)
        for (int64_t w = pool.w.begin(q); w < w1; w++) sum += plane[h * stride_h + w * stride_w];
    return sum / pool.divisor<T>(p, q);
}

template <class T, bool adaptive>
void forward(const Call& call) {
    const View &y = call.view(0), &x = call.view(1);
    AvgPool pool(call, x, y, adaptive);
    int64_t P = y.shape[2], Q = y.shape[3];
    parallel_for(pool.n * pool.c * P, grain(pool.h.axis.in * pool.w.axis.in / std::max<int64_t>(1, P) + Q),
                 [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin; i < end; i++) {
                         int64_t p = i % P, c = i / P % pool.c, n = i / P / pool.c;
                         const T* plane = x.ptr<T>() + n * x.strides[0] + c * x.strides[1];
                         T* out = y.ptr<T>() + n * y.strides[0] + c * y.strides[1] + p * y.strides[2];
                         for (int64_t q = 0; q < Q; q++)
                             out[q * y.strides[3]] = mean_window(pool, p, q, plane, x.strides[2], x.strides[3]);
                     }
                 });
}

template <class T, bool adaptive>
void backward_x(const Call& call) {
    const View &grad_x = call.view(0), &grad_y = call.view(1);
    AvgPool pool(call, grad_x, grad_y, adaptive);
    int64_t H = grad_x.shape[2], W = grad_x.shape[3];
    parallel_for(pool.n * pool.c, grain(2 * H * W), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            int64_t c = i % pool.c, n = i / pool.c;
            T* plane = grad_x.ptr<T>() + n * grad_x.strides[0] + c * grad_x.strides[1];
            for (int64_t h = 0; h < H; h++)
                for (int64_t w = 0; w < W; w++) plane[h * grad_x.strides[2] + w * grad_x.strides[3]] = 0;
            const T* grad = grad_y.ptr<T>() + n * grad_y.strides[0] + c * grad_y.strides[1];
            for (int64_t p = 0; p < grad_y.shape[2]; p++) {
                int64_t h0 = pool.h.begin(p), h1 = pool.h.end(p), step_h = grad_x.strides[2], step_w = grad_x.strides[3];
                for (int64_t q = 0; q < grad_y.shape[3]; q++) {
                    T share = grad[p * grad_y.strides[2] + q * grad_y.strides[3]] / pool.divisor<T>(p, q);
                    int64_t w0 = pool.w.begin(q), w1 = pool.w.end(q);
                    T* line = plane + h0 * step_h;
                    for (int64_t h = h0; h < h1; h++, line += step_h)
                        for (int64_t w = w0; w < w1; w++) line[w * step_w] += share;
                }
            }
        }
    });
}

// ---- channels last ---------------------------------------------------------------------------------------------------------

// Vectors * width channels of one window, or the first n < width of one vector.
template <class T, int Vectors>
WW_INLINE void mean_channels(const AvgPool& pool, int64_t p, int64_t q, const T* x, int64_t stride_h, int64_t stride_w, T* y,
                             int n) {
    constexpr int width = Vec<T>::width;
    Vec<T> sum[Vectors];
    for (int v = 0; v < Vectors; v++) sum[v] = Vec<T>::zero();
    for (int64_t h = pool.h.begin(p), h1 = pool.h.end(p), w0 = pool.w.begin(q), w1 = pool.w.end(q); h < h1; h++)
        for (int64_t w = w0; w < w1; w++)
            for (int v = 0; v < Vectors; v++) {
                const T* from = x + h * stride_h + w * stride_w + v * width;
                sum[v] += n == width ? Vec<T>::load(from) : Vec<T>::load_partial(from, n);
            }
    Vec<T> divisor(pool.divisor<T>(p, q));
    for (int v = 0; v < Vectors; v++) {
        if (n == width) (sum[v] / divisor).store(y + v * width);
        else (sum[v] / divisor).store_partial(y, n);
    }
}

template <class T, bool adaptive>
void forward_channels_last(const Call& call) {
    const View &y = call.view(0), &x = call.view(1);
    AvgPool pool(call, x, y, adaptive);
    constexpr int width = Vec<T>::width;
    int64_t P = y.shape[2], Q = y.shape[3];
    int64_t rows_each = x.shape[2] / std::max<int64_t>(1, P) + 1;
    parallel_for(pool.n * P, grain(rows_each * x.shape[3] * pool.c / width), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            int64_t p = i % P, n = i / P, c = 0;
            const T* in = x.ptr<T>() + n * x.strides[0];
            for (int64_t q = 0; q < Q; q++) {
                T* out = y.ptr<T>() + n * y.strides[0] + p * y.strides[2] + q * y.strides[3];
                for (c = 0; c + 4 * width <= pool.c; c += 4 * width)
                    mean_channels<T, 4>(pool, p, q, in + c, x.strides[2], x.strides[3], out + c, width);
                for (; c < pool.c; c += width)
                    mean_channels<T, 1>(pool, p, q, in + c, x.strides[2], x.strides[3], out + c,
                                        static_cast<int>(std::min<int64_t>(width, pool.c - c)));
            }
        }
    });
}

template <class T, bool adaptive>
void backward_channels_last(const Call& call) {
    const View &grad_x = call.view(0), &grad_y = call.view(1);
    AvgPool pool(call, grad_x, grad_y, adaptive);
    constexpr int width = Vec<T>::width;
    int64_t H = grad_x.shape[2], W = grad_x.shape[3];
    parallel_for(pool.n * H, grain(2 * W * pool.c / width), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            int64_t h = i % H, n = i / H, p0 = pool.h.first_window(h), p1 = pool.h.last_window(h);
            const T* grad = grad_y.ptr<T>() + n * grad_y.strides[0];
            for (int64_t w = 0; w < W; w++) {
                T* out = grad_x.ptr<T>() + n * grad_x.strides[0] + h * grad_x.strides[2] + w * grad_x.strides[3];
                int64_t q0 = pool.w.first_window(w), q1 = pool.w.last_window(w);
                for (int64_t c = 0; c < pool.c; c += width) {
                    int lanes = static_cast<int>(std::min<int64_t>(width, pool.c - c));
                    Vec<T> sum = Vec<T>::zero();
                    for (int64_t p = p0; p < p1; p++)
                        for (int64_t q = q0; q < q1; q++) {
                            const T* from = grad + p * grad_y.strides[2] + q * grad_y.strides[3] + c * grad_y.strides[1];
                            Vec<T> g = load_channels(from, grad_y.strides[1], lanes);
                            sum += g / Vec<T>(pool.divisor<T>(p, q));
                        }
                    if (lanes == width) sum.store(out + c);
                    else sum.store_partial(out + c, lanes);
                }
            }
        }
    });
}

bool forward_is_channels_last(const Call& call) { return dense_channels(call.view(0)) && dense_channels(call.view(1)); }
bool backward_is_channels_last(const Call& call) { return dense_channels(call.view(0)); }

// ---- planar ----------------------------------------------------------------------------------------------------------------

template <class T>
void forward_planar(const Call& call) {
    const View &y = call.view(0), &x = call.view(1);
    AvgPool pool(call, x, y, false);
    constexpr int width = Vec<T>::width;
    const PoolAxis& across = pool.w.axis;
    int64_t P = y.shape[2], Q = y.shape[3];
    auto [first_inside, past_inside] = inner_windows(across);
    int64_t inside = first_inside, outside = past_inside;  // lambdas cannot capture structured bindings
    parallel_for(pool.n * pool.c * P, grain(pool.h.axis.kernel * across.kernel * Q / 4), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            int64_t p = i % P, c = i / P % pool.c, n = i / P / pool.c, q = 0;
            const T* plane = x.ptr<T>() + n * x.strides[0] + c * x.strides[1];
            T* out = y.ptr<T>() + n * y.strides[0] + c * y.strides[1] + p * y.strides[2];
            auto scalar = [&](int64_t to) {
                for (; q < to; q++) out[q] = mean_window(pool, p, q, plane, x.strides[2], int64_t{1});
            };
            if (outside - inside < width) {
                scalar(Q);
                continue;
            }
            scalar(inside);
            Vec<T> divisor(pool.divisor<T>(p, inside));  // windows inside the input share it
            for (int64_t from = inside; from < outside; from += width) {
                q = std::min(from, outside - width);  // the last vector may repeat windows of the one before it
                Vec<T> sum = Vec<T>::zero();
                for (int64_t h = pool.h.begin(p), h1 = pool.h.end(p); h < h1; h++)
                    for (int64_t s = 0; s < across.kernel; s++)
                        sum += load_every<T>(plane + h * x.strides[2] + across.start(q) + s, across.stride);
                (sum / divisor).store(out + q);
            }
            q = outside;
            scalar(Q);
        }
    });
}

bool forward_is_planar(const Call& call) { return dense_rows(call.view(0)) && dense_rows(call.view(1)); }

constexpr Kernel kernels[] = {
    {&kAvgPool2dForward, "naive", WW_ISA_NAME, kFloats, by_float<forward<float, false>, forward<double, false>>},
    {&kAvgPool2dForward, "planar", WW_ISA_NAME, kFloats, by_float<forward_planar<float>, forward_planar<double>>, 1,
     forward_is_planar},
    {&kAvgPool2dForward, "channels_last", WW_ISA_NAME, kFloats,
     by_float<forward_channels_last<float, false>, forward_channels_last<double, false>>, 2, forward_is_channels_last},
    {&kAvgPool2dBackwardX, "naive", WW_ISA_NAME, kFloats, by_float<backward_x<float, false>, backward_x<double, false>>},
    {&kAvgPool2dBackwardX, "channels_last", WW_ISA_NAME, kFloats,
     by_float<backward_channels_last<float, false>, backward_channels_last<double, false>>, 2, backward_is_channels_last},
    {&kAdaptiveAvgPool2dForward, "naive", WW_ISA_NAME, kFloats, by_float<forward<float, true>, forward<double, true>>},
    {&kAdaptiveAvgPool2dForward, "channels_last", WW_ISA_NAME, kFloats,
     by_float<forward_channels_last<float, true>, forward_channels_last<double, true>>, 2, forward_is_channels_last},
    {&kAdaptiveAvgPool2dBackwardX, "naive", WW_ISA_NAME, kFloats, by_float<backward_x<float, true>, backward_x<double, true>>},
    {&kAdaptiveAvgPool2dBackwardX, "channels_last", WW_ISA_NAME, kFloats,
     by_float<backward_channels_last<float, true>, backward_channels_last<double, true>>, 2, backward_is_channels_last},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
