// Max pooling on CUDA, any strides, both forms of index; the order of every choice and sum is the CPU's, so the bits are the same.
//
// forward     one thread a window
// backward_x  one thread an input position, which gathers from the windows that cover it: no atomics, and grad_x is written once
// gather      one thread a window
// Bound by bytes; a window's taps are neighbours in the cache. Where the host cannot see an index (on a GPU), one that points
// outside of its plane is left out; in the simulator it is the IndexError of the contract.
#include <limits>

#include "kernels/pool2d/planes.cuh"

namespace ww::cuda {
namespace {

struct Windows {
    PoolAxis h, w;
    Windows(const Call& call, const View& x, const View& y)
        : h(pool2d::axis(call, x, y, 0, 3)), w(pool2d::axis(call, x, y, 1, 3)) {}

    WW_DEVICE int64_t row(int64_t p, int64_t tap) const { return h.start(p) + tap / w.kernel * h.dilation; }
    WW_DEVICE int64_t column(int64_t q, int64_t tap) const { return w.start(q) + tap % w.kernel * w.dilation; }
};

// Where the maximum of window (p, q) lies, of either form of index; false where it lies nowhere.
template <class Index>
WW_DEVICE bool locate(const Windows& windows, int64_t p, int64_t q, Index index, int64_t& h, int64_t& w) {
    if constexpr (sizeof(Index) == 1) {
        if (index >= windows.h.kernel * windows.w.kernel) return false;
        h = windows.row(p, index), w = windows.column(q, index);
    } else {
        if (index < 0) return false;
        h = index / windows.w.in, w = index % windows.w.in;
    }
    return h >= 0 && h < windows.h.in && w >= 0 && w < windows.w.in;
}

// indices.data is nullptr where none are wanted.
template <class T, class Index>
__global__ void __launch_bounds__(kPoolThreads) max_forward(Windows windows, Planes<T> y, Planes<Index> indices, Planes<T> x) {
    for_each_place(y, [&](int64_t n, int64_t c, int64_t p, int64_t q) {
        const int64_t r0 = windows.h.first_tap(p), r1 = windows.h.last_tap(p), s0 = windows.w.first_tap(q),
                      s1 = windows.w.last_tap(q);
        T best = -std::numeric_limits<T>::infinity();
        int64_t tap = r0 < r1 && s0 < s1 ? r0 * windows.w.kernel + s0 : -1;
        for (int64_t r = r0; r < r1; r++)
            for (int64_t s = s0; s < s1; s++) {
                const T value =
                    x.at(n, c, windows.h.start(p) + r * windows.h.dilation, windows.w.start(q) + s * windows.w.dilation);
                if (value > best || value != value) best = value, tap = r * windows.w.kernel + s;
            }
        y.at(n, c, p, q) = best;
        if (!indices.data) return;
        if constexpr (sizeof(Index) == 1) indices.at(n, c, p, q) = tap < 0 ? kNoTap : static_cast<uint8_t>(tap);
        else indices.at(n, c, p, q) = tap < 0 ? -1 : windows.row(p, tap) * windows.w.in + windows.column(q, tap);
    });
}

template <class T, class Index>
__global__ void __launch_bounds__(kPoolThreads)
    max_backward_x(Windows windows, Planes<T> grad_x, Planes<T> grad_y, Planes<Index> indices) {
    for_each_place(grad_x, [&](int64_t n, int64_t c, int64_t h, int64_t w) {
        const int64_t p1 = windows.h.last_window(h), q1 = windows.w.last_window(w);
        T sum = 0;
        for (int64_t p = windows.h.first_window(h); p < p1; p++)
            for (int64_t q = windows.w.first_window(w); q < q1; q++) {
                int64_t at_h, at_w;
                if (locate(windows, p, q, indices.at(n, c, p, q), at_h, at_w) && at_h == h && at_w == w)
                    sum += grad_y.at(n, c, p, q);
            }
        grad_x.at(n, c, h, w) = sum;
    });
}

template <class T, class Index>
__global__ void __launch_bounds__(kPoolThreads) max_gather(Windows windows, Planes<T> y, Planes<T> x, Planes<Index> indices) {
    for_each_place(y, [&](int64_t n, int64_t c, int64_t p, int64_t q) {
        int64_t h, w;
        y.at(n, c, p, q) = locate(windows, p, q, indices.at(n, c, p, q), h, w) ? x.at(n, c, h, w) : T(0);
    });
}

// The host sees the memory of the simulator, not that of a GPU.
void check_indices([[maybe_unused]] const Call& call, [[maybe_unused]] const View& indices, [[maybe_unused]] const View& x) {
#if !defined(__CUDACC__)
    const Planes<int64_t> at(indices);
    const int64_t elements = x.shape[2] * x.shape[3];
    for (int64_t i = 0; i < at.size(); i++) {
        const int64_t line = i / at.shape[3], plane = line / at.shape[2], p = line % at.shape[2], q = i % at.shape[3];
        const int64_t index = at.at(plane / at.shape[1], plane % at.shape[1], p, q);
        if (index < -1 || index >= elements)
            fail<IndexError>("%s: expected indices in [-1, %lld) (input planes of %lld x %lld), got %lld at window (%lld, %lld)",
                             call.op, static_cast<long long>(elements), static_cast<long long>(x.shape[2]),
                             static_cast<long long>(x.shape[3]), static_cast<long long>(index), static_cast<long long>(p),
                             static_cast<long long>(q));
    }
#endif
}

template <class T, class Index>
void forward_indexed(const Call& call) {
    const View &y = call.view(0), &indices = call.view(1), &x = call.view(2);
    const Planes<T> out(y);
    View none = y;  // of the same shape, nowhere
    none.data = nullptr;
    launch<max_forward<T, Index>>(place_grid(out), Windows(call, x, y), out, Planes<Index>(indices.present() ? indices : none),
                                  Planes<T>(x));
}
template <class T>
void forward(const Call& call) {
    if (call.view(0).size() == 0) return;
    call.has(1) && call.view(1).dtype == DType::int64 ? forward_indexed<T, int64_t>(call) : forward_indexed<T, uint8_t>(call);
}

template <class T>
void backward_x(const Call& call) {
    const View &grad_x = call.view(0), &grad_y = call.view(1), &indices = call.view(2);
    if (grad_x.size() == 0) return;
    const Windows windows(call, grad_x, grad_y);
    const Planes<T> out(grad_x);
    if (indices.dtype == DType::uint8)
        return launch<max_backward_x<T, uint8_t>>(place_grid(out), windows, out, Planes<T>(grad_y), Planes<uint8_t>(indices));
    check_indices(call, indices, grad_x);
    launch<max_backward_x<T, int64_t>>(place_grid(out), windows, out, Planes<T>(grad_y), Planes<int64_t>(indices));
}

template <class T>
void gather(const Call& call) {
    const View &y = call.view(0), &x = call.view(1), &indices = call.view(2);
    if (y.size() == 0) return;
    const Windows windows(call, x, y);
    const Planes<T> out(y);
    if (indices.dtype == DType::uint8)
        return launch<max_gather<T, uint8_t>>(place_grid(out), windows, out, Planes<T>(x), Planes<uint8_t>(indices));
    check_indices(call, indices, x);
    launch<max_gather<T, int64_t>>(place_grid(out), windows, out, Planes<T>(x), Planes<int64_t>(indices));
}

constexpr Kernel kernels[] = {
    {&kMaxPool2dForward, "naive", WW_DEVICE_NAME, kFloats, by_float<forward<float>, forward<double>>},
    {&kMaxPool2dBackwardX, "naive", WW_DEVICE_NAME, kFloats, by_float<backward_x<float>, backward_x<double>>},
    {&kMaxPool2dGather, "naive", WW_DEVICE_NAME, kFloats, by_float<gather<float>, gather<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
