// Max pooling, first rung: one window at a time, any strides, both forms of index.
//
// forward     y[n,c,p,q] = max over the taps of the window, the first of equals, NaN above all; bound by compares
// backward_x  per (n, c) plane: zero it, then add each grad_y where its index points, in scan order. A plane belongs to one thread,
//             so overlapping windows never race, and a plane of usual size stays in the L1 cache until it is complete
// gather      the transpose of backward_x
#include "engine/parallel.h"
#include "kernels/pool2d/max_window.h"

namespace ww::WW_ISA {
namespace {

template <class T>
void forward(const Call& call) {
    const View &y = call.view(0), &indices = call.view(1), &x = call.view(2);
    MaxPool pool(call, x, y);
    parallel_for(pool.n * pool.c * pool.h.out, grain(pool.w.out * pool.h.kernel * pool.w.kernel), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            int64_t p = i % pool.h.out, c = i / pool.h.out % pool.c, n = i / pool.h.out / pool.c;
            const T* plane = x.ptr<T>() + n * x.strides[0] + c * x.strides[1];
            T* out = y.ptr<T>() + n * y.strides[0] + c * y.strides[1] + p * y.strides[2];
            for (int64_t q = 0; q < pool.w.out; q++) {
                int64_t tap = max_window(pool, p, q, plane, x.strides[2], x.strides[3], out[q * y.strides[3]]);
                if (!indices.present()) continue;
                const int64_t* s = indices.strides;
                store_index(indices, n * s[0] + c * s[1] + p * s[2] + q * s[3], pool, p, q, tap);
            }
        }
    });
}

template <class T>
void backward_x(const Call& call) {
    const View &grad_x = call.view(0), &grad_y = call.view(1), &indices = call.view(2);
    MaxPool pool(call, grad_x, grad_y);
    parallel_for(pool.n * pool.c, grain(pool.h.in * pool.w.in), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            int64_t c = i % pool.c, n = i / pool.c;
            T* plane = grad_x.ptr<T>() + n * grad_x.strides[0] + c * grad_x.strides[1];
            for (int64_t h = 0; h < pool.h.in; h++)
                for (int64_t w = 0; w < pool.w.in; w++) plane[h * grad_x.strides[2] + w * grad_x.strides[3]] = 0;
            const T* grad = grad_y.ptr<T>() + n * grad_y.strides[0] + c * grad_y.strides[1];
            for (int64_t p = 0; p < pool.h.out; p++)
                for (int64_t q = 0; q < pool.w.out; q++) {
                    const int64_t* s = indices.strides;
                    int64_t at = read_index(indices, n * s[0] + c * s[1] + p * s[2] + q * s[3], call, pool, p, q, grad_x.strides[2],
                                            grad_x.strides[3]);
                    if (at != kNowhere) plane[at] += grad[p * grad_y.strides[2] + q * grad_y.strides[3]];
                }
        }
    });
}

template <class T>
void gather(const Call& call) {
    const View &y = call.view(0), &x = call.view(1), &indices = call.view(2);
    MaxPool pool(call, x, y);
    parallel_for(pool.n * pool.c * pool.h.out, grain(4 * pool.w.out), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            int64_t p = i % pool.h.out, c = i / pool.h.out % pool.c, n = i / pool.h.out / pool.c;
            const T* plane = x.ptr<T>() + n * x.strides[0] + c * x.strides[1];
            T* out = y.ptr<T>() + n * y.strides[0] + c * y.strides[1] + p * y.strides[2];
            for (int64_t q = 0; q < pool.w.out; q++) {
                const int64_t* s = indices.strides;
                int64_t at =
                    read_index(indices, n * s[0] + c * s[1] + p * s[2] + q * s[3], call, pool, p, q, x.strides[2], x.strides[3]);
                out[q * y.strides[3]] = at != kNowhere ? plane[at] : T(0);
            }
        }
    });
}

constexpr Kernel kernels[] = {
    {&kMaxPool2dForward, "naive", WW_ISA_NAME, kFloats, by_float<forward<float>, forward<double>>},
    {&kMaxPool2dBackwardX, "naive", WW_ISA_NAME, kFloats, by_float<backward_x<float>, backward_x<double>>},
    {&kMaxPool2dGather, "naive", WW_ISA_NAME, kFloats, by_float<gather<float>, gather<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
