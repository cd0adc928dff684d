// Max pooling, second rung: vectors along whichever dimension is dense.
//
// channels_last  forward: vectors of channels, all taps of a window by compare and select; four vectors at a time share the loop.
//                backward_x: turned round, each input position gathers from the windows that cover it (compact indices: does the
//                window's tap say this position?), so that grad_x is written once and never read. grad_y may have any strides:
//                after a flatten it comes in C order. channels_last_apart: windows that do not overlap scatter instead.
// planar         forward: vectors of neighbouring windows (q, q + 1, ...). Stride 1 loads them, stride 2 takes the even elements of
//                two loads, other strides gather. Windows that reach over the edge take the scalar code of the first rung.
//                backward_x: the first rung's scatter, with the taps' offsets in a table.
//
// All bound by memory: forward reads x once and writes y and one byte of index an output; backward reads those and writes grad_x.
// The order of every sum is that of the first rung, so the bits are the same.
#include "engine/parallel.h"
#include "kernels/pool2d/max_window.h"

namespace ww::WW_ISA {
namespace {

// The taps of `n` lanes, as indices at `offset`, `stride` apart.
template <class T>
WW_INLINE void store_taps(typename Vec<T>::Mask taps, int n, const View& indices, int64_t offset, int64_t stride,
                          const MaxPool& pool, int64_t p, int64_t q, int64_t q_step) {
#if defined(__AVX512F__)
    if (indices.dtype == DType::uint8 && stride == 1) {
        uint8_t* to = indices.ptr<uint8_t>() + offset;
        if constexpr (sizeof(T) == 4)
            return _mm512_mask_cvtepi32_storeu_epi8(to, static_cast<__mmask16>((1u << n) - 1), reinterpret_cast<__m512i>(taps));
        else return _mm512_mask_cvtepi64_storeu_epi8(to, static_cast<__mmask8>((1u << n) - 1), reinterpret_cast<__m512i>(taps));
    }
#endif
    typename Vec<T>::Int lanes[Vec<T>::width];
    std::memcpy(lanes, &taps, sizeof lanes);
    if (indices.dtype == DType::uint8) {  // kNoTap is what -1 becomes
        uint8_t* to = indices.ptr<uint8_t>() + offset;
        if (stride == 1 && n == Vec<T>::width)
            for (int i = 0; i < Vec<T>::width; i++) to[i] = static_cast<uint8_t>(lanes[i]);
        else
            for (int i = 0; i < n; i++) to[i * stride] = static_cast<uint8_t>(lanes[i]);
    } else {
        for (int i = 0; i < n; i++) indices.ptr<int64_t>()[offset + i * stride] = pool.flat(p, q + i * q_step, lanes[i]);
    }
}

template <class T>
WW_INLINE void take_greater(Vec<T> value, Vec<T>& best, typename Vec<T>::Mask& taps, typename Vec<T>::Int tap) {
    auto greater = (value > best) | (value != value);
    best = where<T>(greater, value, best);
    taps = greater ? tap - typename Vec<T>::Mask{} : taps;
}

// ---- channels last ---------------------------------------------------------------------------------------------------------

// The taps of a window inside the input.
struct Taps {
    int64_t r0, r1, s0, s1;
};

// Vectors * width channels of one window, or the first n < width of one vector. `x` and `y` point at its first channel.
template <class T, int Vectors>
WW_INLINE void window_channels(const MaxPool& pool, const Taps& inside, int64_t p, int64_t q, const T* x, int64_t stride_h,
                               int64_t stride_w, T* y, const View& indices, int64_t index_offset, int n) {
    constexpr int width = Vec<T>::width;
    using Mask = typename Vec<T>::Mask;
    const auto [r0, r1, s0, s1] = inside;
    int64_t first = r0 < r1 && s0 < s1 ? r0 * pool.w.kernel + s0 : -1;
    Vec<T> best[Vectors];
    Mask taps[Vectors];
    for (int v = 0; v < Vectors; v++)
        best[v] = Vec<T>(-std::numeric_limits<T>::infinity()), taps[v] = static_cast<typename Vec<T>::Int>(first) - Mask{};
    for (int64_t r = r0; r < r1; r++) {
        const T* line =
            x + (pool.h.start(p) + r * pool.h.dilation) * stride_h + (pool.w.start(q) + s0 * pool.w.dilation) * stride_w;
        for (int64_t s = s0; s < s1; s++, line += pool.w.dilation * stride_w) {
            auto tap = static_cast<typename Vec<T>::Int>(r * pool.w.kernel + s);
            for (int v = 0; v < Vectors; v++)
                take_greater(n == width ? Vec<T>::load(line + v * width) : Vec<T>::load_partial(line, n), best[v], taps[v], tap);
        }
    }
    for (int v = 0; v < Vectors; v++) {
        if (n == width) best[v].store(y + v * width);
        else best[v].store_partial(y, n);
        if (indices.present())
            store_taps<T>(taps[v], n, indices, index_offset + v * width * indices.strides[1], indices.strides[1], pool, p, q, 0);
    }
}

template <class T>
void forward_channels_last(const Call& call) {
    const View &y = call.view(0), &indices = call.view(1), &x = call.view(2);
    MaxPool pool(call, x, y);
    constexpr int width = Vec<T>::width;
    int64_t work = pool.w.out * pool.c * pool.h.kernel * pool.w.kernel / width;
    parallel_for(pool.n * pool.h.out, grain(4 * work), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            int64_t p = i % pool.h.out, n = i / pool.h.out;
            const int64_t r0 = pool.h.first_tap(p), r1 = pool.h.last_tap(p);
            const T* in = x.ptr<T>() + n * x.strides[0];
            for (int64_t q = 0; q < pool.w.out; q++) {
                T* out = y.ptr<T>() + n * y.strides[0] + p * y.strides[2] + q * y.strides[3];
                const Taps inside{r0, r1, pool.w.first_tap(q), pool.w.last_tap(q)};
                int64_t at = 0, channel_step = 0, c = 0;
                if (indices.present())
                    at = n * indices.strides[0] + p * indices.strides[2] + q * indices.strides[3],
                    channel_step = indices.strides[1];
                for (; c + 4 * width <= pool.c; c += 4 * width)
                    window_channels<T, 4>(pool, inside, p, q, in + c, x.strides[2], x.strides[3], out + c, indices,
                                          at + c * channel_step, width);
                for (; c < pool.c; c += width)
                    window_channels<T, 1>(pool, inside, p, q, in + c, x.strides[2], x.strides[3], out + c, indices,
                                          at + c * channel_step, static_cast<int>(std::min<int64_t>(width, pool.c - c)));
            }
        }
    });
}

bool forward_is_channels_last(const Call& call) {
    const View &y = call.view(0), &x = call.view(2);
    return dense_channels(x) && dense_channels(y) && call.integer(0, 0) * call.integer(0, 1) < (int64_t{1} << 31);
}

// The compact indices of the first n lanes; kNoTap in the others.
template <class T>
WW_INLINE typename Vec<T>::Mask load_taps(const uint8_t* indices, int n) {
    constexpr int width = Vec<T>::width;
    using Mask = typename Vec<T>::Mask;
    uint8_t some[width];
    if (n < width) {
        std::memset(some, kNoTap, sizeof some);
        std::memcpy(some, indices, static_cast<size_t>(n));
        indices = some;
    }
#if defined(__AVX512F__)
    auto* bytes =
        reinterpret_cast<const __m128i*>(indices);  // maskz_: the plain forms trip -Wmaybe-uninitialized in GCC 12's headers
    if constexpr (sizeof(T) == 4) return reinterpret_cast<Mask>(_mm512_maskz_cvtepu8_epi32(0xFFFF, _mm_loadu_si128(bytes)));
    else return reinterpret_cast<Mask>(_mm512_maskz_cvtepu8_epi64(0xFF, _mm_loadl_epi64(bytes)));
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
        return reinterpret_cast<Mask>(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(indices))));
    int32_t four;
    std::memcpy(&four, indices, 4);
    return reinterpret_cast<Mask>(_mm256_cvtepu8_epi64(_mm_cvtsi32_si128(four)));
#else
    Mask taps;
    for (int i = 0; i < width; i++) taps[i] = indices[i];
    return taps;
#endif
}

// The tap of window p that lies on position h, which the window spans; -1 where h falls between two taps.
WW_INLINE int64_t tap_at(const PoolAxis& axis, int64_t p, int64_t h) {
    int64_t distance = h - axis.start(p);
    if (axis.dilation == 1) return distance;
    return distance % axis.dilation ? -1 : distance / axis.dilation;
}

// A window that covers the input position at hand: where its gradient and index lie, and the tap that would point here.
struct Source {
    int64_t grad, index;
    uint8_t tap;
};

template <class T>
void backward_channels_last(const Call& call) {
    const View &grad_x = call.view(0), &grad_y = call.view(1), &indices = call.view(2);
    MaxPool pool(call, grad_x, grad_y);
    constexpr int width = Vec<T>::width;
    using Mask = typename Vec<T>::Mask;
    parallel_for(pool.n * pool.h.in, grain(8 * pool.w.in * pool.c / width), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            int64_t h = i % pool.h.in, n = i / pool.h.in;
            const T* grad = grad_y.ptr<T>() + n * grad_y.strides[0];
            const uint8_t* index = indices.ptr<uint8_t>() + n * indices.strides[0];
            int64_t p0 = pool.h.first_window(h), p1 = pool.h.last_window(h), q0 = 0, q1 = 0;
            for (int64_t w = 0; w < pool.w.in; w++) {
                T* out = grad_x.ptr<T>() + n * grad_x.strides[0] + h * grad_x.strides[2] + w * grad_x.strides[3];
                while (q0 < pool.w.out && pool.w.start(q0) + pool.w.dilation * (pool.w.kernel - 1) < w) q0++;
                while (q1 < pool.w.out && pool.w.start(q1) <= w) q1++;
                Source sources[kMaxCompactTaps];
                int count = 0;
                for (int64_t p = p0; p < p1; p++) {
                    int64_t r = tap_at(pool.h, p, h);
                    for (int64_t q = q0; r >= 0 && q < q1; q++) {
                        int64_t s = tap_at(pool.w, q, w);
                        if (s >= 0)
                            sources[count++] = {p * grad_y.strides[2] + q * grad_y.strides[3],
                                                p * indices.strides[2] + q * indices.strides[3],
                                                static_cast<uint8_t>(r * pool.w.kernel + s)};
                    }
                }
                for (int64_t c = 0; c < pool.c; c += width) {
                    int lanes = static_cast<int>(std::min<int64_t>(width, pool.c - c));
                    Vec<T> sum = Vec<T>::zero();
                    for (int k = 0; k < count; k++) {
                        auto mine = load_taps<T>(index + sources[k].index + c, lanes) ==
                                    static_cast<typename Vec<T>::Int>(sources[k].tap) - Mask{};
                        const T* from = grad + sources[k].grad + c * grad_y.strides[1];
                        Vec<T> g = load_channels(from, grad_y.strides[1], lanes);
                        sum += where<T>(mine, g, Vec<T>::zero());
                    }
                    if (lanes == width) sum.store(out + c);
                    else sum.store_partial(out + c, lanes);
                }
            }
        }
    });
}

bool backward_is_channels_last(const Call& call) {
    return call.view(2).dtype == DType::uint8 && dense_channels(call.view(0)) && dense_channels(call.view(2));
}

// Windows that do not overlap: each writes the positions up to the next window, its index and gradient read once.
template <class T>
void backward_apart(const Call& call) {
    const View &grad_x = call.view(0), &grad_y = call.view(1), &indices = call.view(2);
    MaxPool pool(call, grad_x, grad_y);
    constexpr int width = Vec<T>::width;
    using Mask = typename Vec<T>::Mask;
    auto positions = [](const PoolAxis& axis, int64_t window) {
        auto inside = [&](int64_t at) { return std::clamp<int64_t>(at, 0, axis.in); };
        return std::pair(window ? inside(axis.start(window)) : 0, window + 1 < axis.out ? inside(axis.start(window + 1)) : axis.in);
    };
    parallel_for(pool.n * pool.h.out, grain(8 * pool.h.stride * pool.w.in * pool.c / width), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            const int64_t p = i % pool.h.out, n = i / pool.h.out;
            const auto [h0, h1] = positions(pool.h, p);
            for (int64_t q = 0; q < pool.w.out; q++) {
                const auto [w0, w1] = positions(pool.w, q);
                const uint8_t* index =
                    indices.ptr<uint8_t>() + n * indices.strides[0] + p * indices.strides[2] + q * indices.strides[3];
                const T* grad = grad_y.ptr<T>() + n * grad_y.strides[0] + p * grad_y.strides[2] + q * grad_y.strides[3];
                for (int64_t c = 0; c < pool.c; c += width) {
                    const int lanes = static_cast<int>(std::min<int64_t>(width, pool.c - c));
                    const Mask taps = load_taps<T>(index + c, lanes);
                    const Vec<T> g = load_channels(grad + c * grad_y.strides[1], grad_y.strides[1], lanes);
                    T* line = grad_x.ptr<T>() + n * grad_x.strides[0] + h0 * grad_x.strides[2] + w0 * grad_x.strides[3] + c;
                    for (int64_t r = h0 - pool.h.start(p); r < h1 - pool.h.start(p); r++, line += grad_x.strides[2]) {
                        T* out = line;
                        for (int64_t s = w0 - pool.w.start(q); s < w1 - pool.w.start(q); s++, out += grad_x.strides[3]) {
                            const int64_t tap = r < pool.h.kernel && s < pool.w.kernel ? r * pool.w.kernel + s : -1;
                            auto mine = taps == static_cast<typename Vec<T>::Int>(tap) - Mask{};
                            const Vec<T> sum = Vec<T>::zero() + where<T>(mine, g, Vec<T>::zero());
                            if (lanes == width) sum.store(out);
                            else sum.store_partial(out, lanes);
                        }
                    }
                }
            }
        }
    });
}

bool backward_is_apart(const Call& call) {
    bool apart = call.view(1).shape[2] > 0 && call.view(1).shape[3] > 0;
    for (int d = 0; d < 2; d++) apart = apart && call.integer(1, d) >= call.integer(0, d) && call.integer(3, d) == 1;
    return apart && backward_is_channels_last(call);
}

// ---- planar ----------------------------------------------------------------------------------------------------------------

template <class T>
void forward_planar(const Call& call) {
    const View &y = call.view(0), &indices = call.view(1), &x = call.view(2);
    MaxPool pool(call, x, y);
    constexpr int width = Vec<T>::width;
    using Mask = typename Vec<T>::Mask;
    auto [first_inside, past_inside] = inner_windows(pool.w);
    int64_t inside = first_inside, outside = past_inside;  // lambdas cannot capture structured bindings
    int64_t work = pool.w.out * pool.h.kernel * pool.w.kernel / width;
    parallel_for(pool.n * pool.c * pool.h.out, grain(8 * work), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            int64_t p = i % pool.h.out, c = i / pool.h.out % pool.c, n = i / pool.h.out / pool.c;
            int64_t r0 = pool.h.first_tap(p), r1 = pool.h.last_tap(p);
            const T* plane = x.ptr<T>() + n * x.strides[0] + c * x.strides[1];
            T* out = y.ptr<T>() + n * y.strides[0] + c * y.strides[1] + p * y.strides[2];
            int64_t at = 0, step = 0;
            if (indices.present()) {
                at = n * indices.strides[0] + c * indices.strides[1] + p * indices.strides[2];
                step = indices.strides[3];
            }
            auto scalar = [&](int64_t from, int64_t to) {
                for (int64_t q = from; q < to; q++) {
                    int64_t tap = max_window(pool, p, q, plane, x.strides[2], int64_t{1}, out[q]);
                    if (indices.present()) store_index(indices, at + q * step, pool, p, q, tap);
                }
            };
            if (outside - inside < width || r0 >= r1) {
                scalar(0, pool.w.out);
                continue;
            }
            scalar(0, inside);
            for (int64_t from = inside; from < outside; from += width) {
                int64_t q = std::min(from, outside - width);  // the last vector may repeat windows of the one before it
                Vec<T> best(-std::numeric_limits<T>::infinity());
                Mask taps = static_cast<typename Vec<T>::Int>(r0 * pool.w.kernel) - Mask{};
                for (int64_t r = r0; r < r1; r++) {
                    const T* line = plane + (pool.h.start(p) + r * pool.h.dilation) * x.strides[2] + pool.w.start(q);
                    for (int64_t s = 0; s < pool.w.kernel; s++, line += pool.w.dilation)
                        take_greater(load_every<T>(line, pool.w.stride), best, taps,
                                     static_cast<typename Vec<T>::Int>(r * pool.w.kernel + s));
                }
                best.store(out + q);
                if (indices.present()) store_taps<T>(taps, width, indices, at + q * step, step, pool, p, q, 1);
            }
            scalar(outside, pool.w.out);
        }
    });
}

bool forward_is_planar(const Call& call) {
    const View &y = call.view(0), &x = call.view(2);
    return dense_rows(x) && dense_rows(y) && call.integer(0, 0) * call.integer(0, 1) < (int64_t{1} << 31);
}

template <class T>
void backward_planar(const Call& call) {
    const View &grad_x = call.view(0), &grad_y = call.view(1), &indices = call.view(2);
    MaxPool pool(call, grad_x, grad_y);
    int64_t taps = pool.h.kernel * pool.w.kernel;
    int64_t offset[kMaxCompactTaps];
    for (int64_t tap = 0; tap < taps; tap++)
        offset[tap] = tap / pool.w.kernel * pool.h.dilation * grad_x.strides[2] + tap % pool.w.kernel * pool.w.dilation;
    parallel_for(pool.n * pool.c, grain(pool.h.in * pool.w.in), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            int64_t c = i % pool.c, n = i / pool.c;
            T* plane = grad_x.ptr<T>() + n * grad_x.strides[0] + c * grad_x.strides[1];
            for (int64_t h = 0; h < pool.h.in; h++)
                std::memset(plane + h * grad_x.strides[2], 0, sizeof(T) * static_cast<size_t>(pool.w.in));
            const T* grad = grad_y.ptr<T>() + n * grad_y.strides[0] + c * grad_y.strides[1];
            int64_t first = n * indices.strides[0] + c * indices.strides[1];
            for (int64_t p = 0; p < pool.h.out; p++) {
                bool rows_inside = pool.h.first_tap(p) == 0 && pool.h.last_tap(p) == pool.h.kernel;
                for (int64_t q = 0; q < pool.w.out; q++) {
                    int64_t at = first + p * indices.strides[2] + q * indices.strides[3];
                    uint8_t tap = indices.ptr<uint8_t>()[at];
                    int64_t start = pool.w.start(q), to = kNowhere;
                    if (rows_inside && tap < taps && start >= 0 && start + pool.w.dilation * (pool.w.kernel - 1) < pool.w.in)
                        to = pool.h.start(p) * grad_x.strides[2] + start + offset[tap];
                    else to = read_index(indices, at, call, pool, p, q, grad_x.strides[2], 1);
                    if (to != kNowhere) plane[to] += grad[p * grad_y.strides[2] + q * grad_y.strides[3]];
                }
            }
        }
    });
}

bool backward_is_planar(const Call& call) { return call.view(2).dtype == DType::uint8 && dense_rows(call.view(0)); }

constexpr Kernel kernels[] = {
    {&kMaxPool2dForward, "channels_last", WW_ISA_NAME, kFloats,
     by_float<forward_channels_last<float>, forward_channels_last<double>>, 2, forward_is_channels_last},
    {&kMaxPool2dForward, "planar", WW_ISA_NAME, kFloats, by_float<forward_planar<float>, forward_planar<double>>, 1,
     forward_is_planar},
    {&kMaxPool2dBackwardX, "channels_last", WW_ISA_NAME, kFloats,
     by_float<backward_channels_last<float>, backward_channels_last<double>>, 2, backward_is_channels_last},
    {&kMaxPool2dBackwardX, "channels_last_apart", WW_ISA_NAME, kFloats, by_float<backward_apart<float>, backward_apart<double>>, 3,
     backward_is_apart},
    {&kMaxPool2dBackwardX, "planar", WW_ISA_NAME, kFloats, by_float<backward_planar<float>, backward_planar<double>>, 1,
     backward_is_planar},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
