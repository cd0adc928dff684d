// The first rung of the ladder for convolution and its gradients: direct loops over any strides, one sum at a time, each in scan
// order from zero. Every other variant is tested against the same table as this one.
//
// Formulas: kernels/conv2d/conv2d.h. forward and backward_x multiply the zeros outside a picture too, as their contracts ask, but
// only where a weight is not finite does that show. Bound by latency: one multiply-add at a time.
#include <cmath>

#include "engine/parallel.h"
#include "engine/simd.h"
#include "kernels/conv2d/conv2d.h"

namespace ww::WW_ISA {
namespace {

int64_t grain(int64_t work_each) { return 1 + 16384 / (work_each + 1); }

template <class T>
T activated(T x, int64_t activation) {
    switch (activation) {
        case 1: return x < 0 ? T(0) : x;
        case 2: return std::tanh(x);
        case 3: return 1 / (1 + std::exp(-x));
        case 4: return x * T(0.5) * (1 + std::erf(x * T(0.7071067811865476)));
        default: return x;
    }
}

template <class T>
void forward(const Call& call) {
    const View &y = call.view(0), &x = call.view(1), &w = call.view(2), &b = call.view(3);
    Conv2d conv = Conv2d::forward(call);
    int64_t P = conv.h.out, Q = conv.w.out, R = conv.h.filter, S = conv.w.filter;
    parallel_for(conv.N * conv.K * P, grain(Q * conv.Cg * R * S), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            int64_t p = i % P, k = i / P % conv.K, n = i / P / conv.K;
            const T* picture = x.ptr<T>() + n * x.strides[0] + k / conv.Kg * conv.Cg * x.strides[1];
            const T* filter = w.ptr<T>() + k * w.strides[0];
            T* out = y.ptr<T>() + n * y.strides[0] + k * y.strides[1] + p * y.strides[2];
            for (int64_t q = 0; q < Q; q++) {
                T sum = 0;
                for (int64_t c = 0; c < conv.Cg; c++)
                    for (int64_t r = 0; r < R; r++)
                        for (int64_t s = 0; s < S; s++) {
                            int64_t h = conv.h.input(p, r), l = conv.w.input(q, s);
                            bool inside = h >= 0 && h < conv.h.in && l >= 0 && l < conv.w.in;
                            T value = inside ? picture[c * x.strides[1] + h * x.strides[2] + l * x.strides[3]] : T(0);
                            sum += filter[c * w.strides[1] + r * w.strides[2] + s * w.strides[3]] * value;
                        }
                if (b.present()) sum += b.ptr<T>()[k * b.strides[0]];
                out[q * y.strides[3]] = activated(sum, call.integer(4));
            }
        }
    });
}

// Where, counted in outputs, tap r meets position h of the input; false where that is between two outputs.
bool meets(const ConvAxis& a, int64_t h, int64_t r, int64_t& p) {
    int64_t from = h + a.padding - r * a.dilation;
    p = from / a.stride;
    return from % a.stride == 0;
}

template <class T>
void backward_x(const Call& call) {
    const View &grad_x = call.view(0), &grad_y = call.view(1), &w = call.view(2);
    Conv2d conv = Conv2d::backward_x(call);
    int64_t H = conv.h.in, W = conv.w.in, R = conv.h.filter, S = conv.w.filter;
    parallel_for(conv.N * conv.C * H, grain(W * conv.Kg * R * S), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            int64_t h = i % H, c = i / H % conv.C, n = i / H / conv.C, k0 = c / conv.Cg * conv.Kg;
            const T* grad = grad_y.ptr<T>() + n * grad_y.strides[0] + k0 * grad_y.strides[1];
            const T* filters = w.ptr<T>() + k0 * w.strides[0] + c % conv.Cg * w.strides[1];
            T* out = grad_x.ptr<T>() + n * grad_x.strides[0] + c * grad_x.strides[1] + h * grad_x.strides[2];
            for (int64_t l = 0; l < W; l++) {
                T sum = 0;
                for (int64_t r = 0; r < R; r++)
                    for (int64_t s = 0; s < S; s++) {
                        int64_t p, q;
                        if (!meets(conv.h, h, r, p) || !meets(conv.w, l, s, q)) continue;
                        bool inside = p >= 0 && p < conv.h.out && q >= 0 && q < conv.w.out;
                        const T* from = grad + p * grad_y.strides[2] + q * grad_y.strides[3];
                        const T* tap = filters + r * w.strides[2] + s * w.strides[3];
                        for (int64_t k = 0; k < conv.Kg; k++)
                            sum += tap[k * w.strides[0]] * (inside ? from[k * grad_y.strides[1]] : T(0));
                    }
                out[l * grad_x.strides[3]] = sum;
            }
        }
    });
}

template <class T>
void backward_w(const Call& call) {
    const View &grad_w = call.view(0), &x = call.view(1), &grad_y = call.view(2);
    Conv2d conv = Conv2d::backward_w(call);
    int64_t R = conv.h.filter, S = conv.w.filter;
    parallel_for(conv.K * conv.Cg * R, grain(S * conv.N * conv.h.out * conv.w.out), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            int64_t r = i % R, c = i / R % conv.Cg, k = i / R / conv.Cg;
            const T* pictures = x.ptr<T>() + (k / conv.Kg * conv.Cg + c) * x.strides[1];
            const T* grads = grad_y.ptr<T>() + k * grad_y.strides[1];
            T* out = grad_w.ptr<T>() + k * grad_w.strides[0] + c * grad_w.strides[1] + r * grad_w.strides[2];
            for (int64_t s = 0; s < S; s++) {
                int64_t q0 = conv.w.first_output(s), q1 = conv.w.last_output(s);
                T sum = 0;
                for (int64_t n = 0; n < conv.N; n++)
                    for (int64_t p = conv.h.first_output(r), p1 = conv.h.last_output(r); p < p1; p++) {
                        const T* from = pictures + n * x.strides[0] + conv.h.input(p, r) * x.strides[2];
                        const T* grad = grads + n * grad_y.strides[0] + p * grad_y.strides[2];
                        for (int64_t q = q0; q < q1; q++)
                            sum += grad[q * grad_y.strides[3]] * from[conv.w.input(q, s) * x.strides[3]];
                    }
                out[s * grad_w.strides[3]] = sum;
            }
        }
    });
}

// Partial sums of a row, of a picture and of the batch, so that the error does not grow with their product.
template <class T>
void backward_b(const Call& call) {
    const View &grad_b = call.view(0), &grad_y = call.view(1);
    int64_t N = grad_y.shape[0], P = grad_y.shape[2], Q = grad_y.shape[3];
    parallel_for(grad_y.shape[1], grain(N * P * Q), [&](int64_t begin, int64_t end) {
        for (int64_t k = begin; k < end; k++) {
            T batch = 0;
            for (int64_t n = 0; n < N; n++) {
                T picture = 0;
                for (int64_t p = 0; p < P; p++) {
                    const T* grad = grad_y.ptr<T>() + n * grad_y.strides[0] + k * grad_y.strides[1] + p * grad_y.strides[2];
                    T row = 0;
                    for (int64_t q = 0; q < Q; q++) row += grad[q * grad_y.strides[3]];
                    picture += row;
                }
                batch += picture;
            }
            grad_b.ptr<T>()[k * grad_b.strides[0]] = batch;
        }
    });
}

constexpr Kernel kernels[] = {
    {&kConv2dForward, "naive", WW_ISA_NAME, kFloats, by_float<forward<float>, forward<double>>},
    {&kConv2dBackwardX, "naive", WW_ISA_NAME, kFloats, by_float<backward_x<float>, backward_x<double>>},
    {&kConv2dBackwardW, "naive", WW_ISA_NAME, kFloats, by_float<backward_w<float>, backward_w<double>>},
    {&kConv2dBackwardB, "naive", WW_ISA_NAME, kFloats, by_float<backward_b<float>, backward_b<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
