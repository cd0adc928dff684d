// Batch, instance and group normalisation: the four passes over [B, N, C, L] of norm.h, each over rows (along L) or columns (along
// C, where channels lie side by side).
//
// Forward is a read for the moments, and a read and a write for the result; backward is two reads for the sums, and two reads and a
// write for the gradient. Bound by memory.
#include "kernels/norm/channels.h"

namespace ww::WW_ISA {
namespace {

template <class T>
const T* channel_of(const View& x, int64_t b, int64_t c) {
    return x.ptr<T>() + b * x.strides[0] + c * x.strides[2];
}

template <class T>
T coefficient(const View& v, int64_t b, int64_t c) {
    return v.ptr<T>()[b * v.strides[0] + c * v.strides[1]];
}

// Where the elements [begin, end) of the sequence (n, l) lie, counted from the first of a strip of channels.
struct Places {
    int64_t at[kColumnBlock], count;
    Places(const View& x, int64_t begin, int64_t end) : count(end - begin) {
        if (begin == end) return;  // no elements: nothing to divide by
        int64_t size = x.shape[3], n = begin / size, l = begin % size;
        for (int64_t i = 0; i < count; i++) {
            at[i] = n * x.strides[1] + l * x.strides[3];
            if (++l == size) l = 0, n++;
        }
    }
};

// sums[j] = the sum over r < count of term(r, j, lanes), four vectors of channels at a time: their sums stay in registers.
template <class T, class Term>
WW_INLINE void sum_columns(T* sums, int64_t used, int64_t count, Term&& term) {
    constexpr int width = Vec<T>::width;
    int64_t j = 0;
    for (; j + 4 * width <= used; j += 4 * width) {
        Vec<T> s[4] = {Vec<T>::zero(), Vec<T>::zero(), Vec<T>::zero(), Vec<T>::zero()};
        for (int64_t r = 0; r < count; r++)
            for (int v = 0; v < 4; v++) s[v] += term(r, j + v * width, width);
        for (int v = 0; v < 4; v++) s[v].store(sums + j + v * width);
    }
    for (; j < used; j += width) {
        int lanes = static_cast<int>(std::min<int64_t>(width, used - j));
        Vec<T> s = Vec<T>::zero();
        for (int64_t r = 0; r < count; r++) s += term(r, j, lanes);
        s.store(sums + j);
    }
}

template <class T>
void to_variance(T&, T& squares, T count) {
    squares = squares / count;
}

template <class T>
void moments_rows(const Call& call) {
    const View& x = call.view(2);
    reduce_channels<JoinMoments, T, 1>(
        call, x, kRowBlock,
        [&](Partial<T, 1>& p, int64_t b, int64_t c, int64_t, int64_t begin, int64_t end) {
            alignas(64) T buffer[kRowBlock];
            const Row<const T> row = {side_by_side(x, channel_of<T>(x, b, c), begin, end, buffer), 1};
            const Vec<T> start(end > begin ? row.data[0] : T(0));  // differences from it: equal elements have exactly that mean
            p.first[0] =
                start[0] + row_sum<T>(end - begin, [&](int64_t i, int lanes) { return row.load(i, lanes) - start; }) / p.count;
            const Vec<T> mean(p.first[0]);
            p.second[0] = row_sum<T>(end - begin, [&](int64_t i, int lanes) {
                Vec<T> d = row.load(i, lanes) - mean;
                return d * d;
            });
        },
        to_variance<T>);
}

template <class T>
void moments_columns(const Call& call) {
    const View& x = call.view(2);
    reduce_channels<JoinMoments, T, kStrip>(
        call, x, kColumnBlock,
        [&](Partial<T, kStrip>& p, int64_t b, int64_t c, int64_t used, int64_t begin, int64_t end) {
            const T* strip = channel_of<T>(x, b, c);
            const Places places(x, begin, end);
            auto load = [&](int64_t r, int64_t j, int lanes) { return load_lanes(strip + places.at[r] + j, lanes); };
            std::fill_n(p.first, kStrip, T(0)), std::fill_n(p.second, kStrip, T(0));
            alignas(64) T start[kStrip] = {}, mean[kStrip];
            if (places.count) std::copy_n(strip + places.at[0], used, start);
            sum_columns(p.first, used, places.count,
                        [&](int64_t r, int64_t j, int lanes) { return load(r, j, lanes) - Vec<T>::load(start + j); });
            for (int64_t j = 0; j < kStrip; j++) mean[j] = p.first[j] = start[j] + p.first[j] / p.count;
            sum_columns(p.second, used, places.count, [&](int64_t r, int64_t j, int lanes) {
                Vec<T> d = load(r, j, lanes) - Vec<T>::load(mean + j);
                return d * d;
            });
        },
        to_variance<T>);
}

template <class T>
void as_they_are(T&, T&, T) {}

template <class T>
void sums_rows(const Call& call) {
    const View &grad_y = call.view(2), &x = call.view(3), &means = call.view(4);
    reduce_channels<JoinSums, T, 1>(
        call, x, kRowBlock,
        [&](Partial<T, 1>& p, int64_t b, int64_t c, int64_t, int64_t begin, int64_t end) {
            alignas(64) T buffers[2][kRowBlock];
            const Row<const T> grad = {side_by_side(grad_y, channel_of<T>(grad_y, b, c), begin, end, buffers[0]), 1};
            const Row<const T> row = {side_by_side(x, channel_of<T>(x, b, c), begin, end, buffers[1]), 1};
            const Vec<T> mean(coefficient<T>(means, b, c));
            p.first[0] = row_sum<T>(end - begin, [&](int64_t i, int lanes) { return grad.load(i, lanes); });
            p.second[0] =
                row_sum<T>(end - begin, [&](int64_t i, int lanes) { return grad.load(i, lanes) * (row.load(i, lanes) - mean); });
        },
        as_they_are<T>);
}

template <class T>
void sums_columns(const Call& call) {
    const View &grad_y = call.view(2), &x = call.view(3), &means = call.view(4);
    reduce_channels<JoinSums, T, kStrip>(
        call, x, kColumnBlock,
        [&](Partial<T, kStrip>& p, int64_t b, int64_t c, int64_t used, int64_t begin, int64_t end) {
            const T *strip = channel_of<T>(x, b, c), *grads = channel_of<T>(grad_y, b, c);
            alignas(64) T mean[kStrip] = {};
            for (int64_t j = 0; j < used; j++) mean[j] = coefficient<T>(means, b, c + j);
            const Places places(x, begin, end), grad_places(grad_y, begin, end);
            auto grad = [&](int64_t r, int64_t j, int lanes) { return load_lanes(grads + grad_places.at[r] + j, lanes); };
            std::fill_n(p.first, kStrip, T(0)), std::fill_n(p.second, kStrip, T(0));
            sum_columns(p.first, used, places.count, grad);
            sum_columns(p.second, used, places.count, [&](int64_t r, int64_t j, int lanes) {
                return grad(r, j, lanes) * (load_lanes(strip + places.at[r] + j, lanes) - Vec<T>::load(mean + j));
            });
        },
        as_they_are<T>);
}

// A row of stride 1, without the question at each vector.
template <class T>
struct DenseRow {
    using Element = std::remove_const_t<T>;
    T* data;
    explicit DenseRow(Row<T> row) : data(row.data) {}
    WW_INLINE Vec<Element> load(int64_t i, int n) const { return load_lanes<Element>(data + i, n); }
    WW_INLINE void store(int64_t i, int n, Vec<Element> v) const { store_lanes(data + i, n, v); }
};

// body(rows...) with dense rows where all are.
template <class Body, class... R>
WW_INLINE void with_dense(Body&& body, R... rows) {
    if (((rows.stride == 1 || !rows.data) && ...)) body(DenseRow(rows)...);
    else body(rows...);
}

// One number, as a row of it.
template <class T>
struct Same {
    Vec<T> value;
    const T* data;
    explicit Same(Row<const T> row) : value(row.data ? *row.data : T(0)), data(row.data) {}
    WW_INLINE Vec<T> load(int64_t, int) const { return value; }
};

// The coefficients of sample b from channel c on.
template <class T>
Row<const T> coefficients(const View& v, int64_t b, int64_t c) {
    if (!v.present()) return {nullptr, 1};
    return {v.ptr<T>() + b * v.strides[0] + c * v.strides[1], v.strides[1]};
}

// Runs of an elementwise pass over views [B, N, C, L]: run(b, n, c or l, elements of a run, their dimension).
template <bool columns, class Run>
void for_runs(const View& y, Run&& run) {
    constexpr int inner = columns ? 2 : 3, outer = columns ? 3 : 2;
    int64_t others = y.shape[outer], length = y.shape[inner];
    if (length == 0) return;
    parallel_for(y.shape[0] * y.shape[1] * others, 1 + 16384 / length, [&](int64_t begin, int64_t end) {
        int64_t b = begin / others / y.shape[1], n = begin / others % y.shape[1], o = begin % others;
        for (int64_t i = begin; i < end; i++) {
            run(b, n, o, length);
            if (++o < others) continue;
            o = 0;
            if (++n == y.shape[1]) n = 0, b++;
        }
    });
}

template <bool columns, class T>
Row<T> run_of(const View& v, int64_t b, int64_t n, int64_t other) {
    constexpr int inner = columns ? 2 : 3, outer = columns ? 3 : 2;
    return {v.ptr<std::remove_const_t<T>>() + b * v.strides[0] + n * v.strides[1] + other * v.strides[outer], v.strides[inner]};
}

template <class T, bool columns>
void forward(const Call& call) {
    const View &y = call.view(0), &x = call.view(1);
    for_runs<columns>(y, [&](int64_t b, int64_t n, int64_t o, int64_t length) {
        auto run = [&](auto out, auto in, auto mean, auto scale, auto shift) {
            for_row<T>(length, [&](int64_t i, int lanes) {
                Vec<T> z = (in.load(i, lanes) - mean.load(i, lanes)) * scale.load(i, lanes);
                out.store(i, lanes, shift.data ? z + shift.load(i, lanes) : z);
            });
        };
        const Row<T> out = run_of<columns, T>(y, b, n, o);
        const Row<const T> in = run_of<columns, const T>(x, b, n, o);
        auto given = [&](int i) { return coefficients<T>(call.view(i), b, columns ? 0 : o); };
        if constexpr (columns) with_dense(run, out, in, given(2), given(3), given(4));
        else {
            const Same<T> mean(given(2)), scale(given(3)), shift(given(4));
            with_dense([&](auto to, auto from) { run(to, from, mean, scale, shift); }, out, in);
        }
    });
}

template <class T, bool columns>
void backward_x(const Call& call) {
    const View &grad_x = call.view(0), &grad_y = call.view(1), &x = call.view(2);
    for_runs<columns>(grad_x, [&](int64_t b, int64_t n, int64_t o, int64_t length) {
        auto run = [&](auto out, auto grad, auto in, auto mean, auto of_grad, auto of_x, auto level) {
            for_row<T>(length, [&](int64_t i, int lanes) {
                Vec<T> change = (in.load(i, lanes) - mean.load(i, lanes)) * of_x.load(i, lanes) + level.load(i, lanes);
                out.store(i, lanes, grad.load(i, lanes) * of_grad.load(i, lanes) + change);
            });
        };
        const Row<T> out = run_of<columns, T>(grad_x, b, n, o);
        const Row<const T> grad = run_of<columns, const T>(grad_y, b, n, o), in = run_of<columns, const T>(x, b, n, o);
        auto given = [&](int i) { return coefficients<T>(call.view(i), b, columns ? 0 : o); };
        if constexpr (columns) with_dense(run, out, grad, in, given(3), given(4), given(5), given(6));
        else {
            const Same<T> mean(given(3)), of_grad(given(4)), of_x(given(5)), level(given(6));
            with_dense([&](auto to, auto g, auto from) { run(to, g, from, mean, of_grad, of_x, level); }, out, grad, in);
        }
    });
}

template <class T, int64_t block, int input>
size_t workspace(const Call& call) {
    return Tasks(call.view(input), block).workspace<T>();
}

constexpr Kernel kernels[] = {
    {&kChannelNormMoments, "rows", WW_ISA_NAME, kFloats, by_float<moments_rows<float>, moments_rows<double>>, 0, nullptr,
     bytes_by_float<workspace<float, kRowBlock, 2>, workspace<double, kRowBlock, 2>>},
    {&kChannelNormMoments, "columns", WW_ISA_NAME, kFloats, by_float<moments_columns<float>, moments_columns<double>>, 1,
     channels_side_by_side<2, 1>, bytes_by_float<workspace<float, kColumnBlock, 2>, workspace<double, kColumnBlock, 2>>},
    {&kChannelNormForward, "rows", WW_ISA_NAME, kFloats, by_float<forward<float, false>, forward<double, false>>},
    {&kChannelNormForward, "columns", WW_ISA_NAME, kFloats, by_float<forward<float, true>, forward<double, true>>, 1,
     channels_side_by_side<0, 2>},
    {&kChannelNormSums, "rows", WW_ISA_NAME, kFloats, by_float<sums_rows<float>, sums_rows<double>>, 0, nullptr,
     bytes_by_float<workspace<float, kRowBlock, 3>, workspace<double, kRowBlock, 3>>},
    {&kChannelNormSums, "columns", WW_ISA_NAME, kFloats, by_float<sums_columns<float>, sums_columns<double>>, 1,
     channels_side_by_side<2, 2>, bytes_by_float<workspace<float, kColumnBlock, 3>, workspace<double, kColumnBlock, 3>>},
    {&kChannelNormBackwardX, "rows", WW_ISA_NAME, kFloats, by_float<backward_x<float, false>, backward_x<double, false>>},
    {&kChannelNormBackwardX, "columns", WW_ISA_NAME, kFloats, by_float<backward_x<float, true>, backward_x<double, true>>, 1,
     channels_side_by_side<0, 3>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
