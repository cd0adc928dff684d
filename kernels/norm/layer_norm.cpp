// Layer and root mean square normalisation of rows: y = (x - mean) rstd weight + bias, forward and backward.
//
// A row stays in the cache between its passes (mean, squares, result), so memory sees one read and one write. Sums have the fixed
// tree of row.h. The gradient by weight and bias adds rows up: parts of rows, cut by their number alone, wait in the workspace and
// are added in their order.
// Bound by memory; strides other than 1 along the row are gathered.
#include "engine/parallel.h"
#include "kernels/common/arena.h"
#include "kernels/common/row.h"
#include "kernels/norm/norm.h"

namespace ww::WW_ISA {
namespace {

// Row `row` of a view whose last dimension is the row; nothing where the view is absent.
template <class T>
Row<T> row_of(const View& v, int64_t row) {
    using Element = std::remove_const_t<T>;
    if (!v.present()) return {nullptr, 0};
    int last = v.ndim - 1;
    return {v.ptr<Element>() + row_offset(v, last, row), v.strides[last]};
}

template <class T>
T& statistic(const View& v, int64_t row) {
    return v.ptr<T>()[row_offset(v, v.ndim, row)];
}

template <class T>
void forward(const Call& call) {
    const View &y = call.view(0), &means = call.view(1), &rstds = call.view(2), &x = call.view(3);
    int last = y.ndim - 1;
    const int64_t n = y.shape[last];
    const Row<const T> weight = row_of<const T>(call.view(4), 0), bias = row_of<const T>(call.view(5), 0);
    const T count = static_cast<T>(n), eps = static_cast<T>(call.real(0));
    parallel_for(row_count(y, last), 1 + 8192 / (n + 1), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            const Row<const T> in = row_of<const T>(x, r);
            const Row<T> out = row_of<T>(y, r);
            T mean = 0;
            if (means.present()) {
                // Differences from the first element: equal elements have exactly that mean, and a large one costs no digits.
                const Vec<T> start(n ? *in.data : T(0));
                mean = start[0] + row_sum<T>(n, [&](int64_t i, int lanes) { return in.load(i, lanes) - start; }) / count;
                statistic<T>(means, r) = mean;
            }
            const Vec<T> m(mean);
            T square = row_sum<T>(n, [&](int64_t i, int lanes) {
                Vec<T> d = in.load(i, lanes) - m;
                return d * d;
            });
            const T rstd = T(1) / std::sqrt(square / count + eps);
            statistic<T>(rstds, r) = rstd;
            const Vec<T> scale(rstd);
            for_row<T>(n, [&](int64_t i, int lanes) {
                Vec<T> z = (in.load(i, lanes) - m) * scale;
                if (weight.data) z = z * weight.load(i, lanes);
                if (bias.data) z = z + bias.load(i, lanes);
                out.store(i, lanes, z);
            });
        }
    });
}

template <class T>
void backward_x(const Call& call) {
    const View &grad_x = call.view(0), &grad_y = call.view(1), &means = call.view(2), &rstds = call.view(3), &x = call.view(4);
    int last = x.ndim - 1;
    const int64_t n = x.shape[last];
    const Row<const T> weight = row_of<const T>(call.view(5), 0);
    const T count = static_cast<T>(n);
    parallel_for(row_count(x, last), 1 + 8192 / (n + 1), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            const Row<const T> in = row_of<const T>(x, r), grad = row_of<const T>(grad_y, r);
            const Row<T> out = row_of<T>(grad_x, r);
            const Vec<T> m(means.present() ? statistic<T>(means, r) : T(0)), rstd(statistic<T>(rstds, r));
            auto g = [&](int64_t i, int lanes) {
                Vec<T> v = grad.load(i, lanes);
                return weight.data ? v * weight.load(i, lanes) : v;
            };
            auto z = [&](int64_t i, int lanes) { return (in.load(i, lanes) - m) * rstd; };
            const Vec<T> along(row_sum<T>(n, [&](int64_t i, int lanes) { return g(i, lanes) * z(i, lanes); }) / count);
            const Vec<T> level(means.present() ? row_sum<T>(n, g) / count : T(0));
            for_row<T>(n, [&](int64_t i, int lanes) {
                Vec<T> change = g(i, lanes) - z(i, lanes) * along;
                if (means.present()) change = change - level;
                out.store(i, lanes, change * rstd);
            });
        }
    });
}

// Parts of at least 16 rows, 32 of them at most.
struct Parts {
    int64_t rows, size, count;
    explicit Parts(const View& x)
        : rows(row_count(x, x.ndim - 1)), size(std::max<int64_t>(16, (rows + 31) / 32)), count((rows + size - 1) / size) {}
};

template <class T>
size_t backward_wb_workspace(const Call& call) {
    const View& x = call.view(5);
    return static_cast<size_t>(2 * Parts(x).count * x.shape[x.ndim - 1]) * sizeof(T);
}

template <class T>
void backward_wb(const Call& call) {
    const View &grad_y = call.view(2), &means = call.view(3), &rstds = call.view(4), &x = call.view(5);
    const int64_t n = x.shape[x.ndim - 1];
    const Row<T> grad_weight = row_of<T>(call.view(0), 0), grad_bias = row_of<T>(call.view(1), 0);
    const Parts parts(x);
    T* sums = static_cast<T*>(call.workspace);
    parallel_for(parts.count, 1 + 8192 / (parts.size * n + 1), [&](int64_t begin, int64_t end) {
        for (int64_t part = begin; part < end; part++) {
            T *weights = sums + 2 * part * n, *biases = weights + n;
            std::fill_n(weights, 2 * n, T(0));
            for (int64_t r = part * parts.size; r < std::min(parts.rows, (part + 1) * parts.size); r++) {
                const Row<const T> in = row_of<const T>(x, r), grad = row_of<const T>(grad_y, r);
                const Vec<T> m(means.present() ? statistic<T>(means, r) : T(0)), rstd(statistic<T>(rstds, r));
                for_row<T>(n, [&](int64_t i, int lanes) {
                    Vec<T> g = grad.load(i, lanes);
                    store_lanes(weights + i, lanes, load_lanes(weights + i, lanes) + g * ((in.load(i, lanes) - m) * rstd));
                    store_lanes(biases + i, lanes, load_lanes(biases + i, lanes) + g);
                });
            }
        }
    });
    for_row<T>(n, [&](int64_t i, int lanes) {
        Vec<T> weight = Vec<T>::zero(), bias = Vec<T>::zero();
        for (int64_t part = 0; part < parts.count; part++) {
            weight += load_lanes(sums + 2 * part * n + i, lanes);
            bias += load_lanes(sums + (2 * part + 1) * n + i, lanes);
        }
        grad_weight.store(i, lanes, weight);
        if (grad_bias.data) grad_bias.store(i, lanes, bias);
    });
}

constexpr Kernel kernels[] = {
    {&kLayerNormForward, "rows", WW_ISA_NAME, kFloats, by_float<forward<float>, forward<double>>},
    {&kLayerNormBackwardX, "rows", WW_ISA_NAME, kFloats, by_float<backward_x<float>, backward_x<double>>},
    {&kLayerNormBackwardWb, "rows", WW_ISA_NAME, kFloats, by_float<backward_wb<float>, backward_wb<double>>, 0, nullptr,
     bytes_by_float<backward_wb_workspace<float>, backward_wb_workspace<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
