// The gradient of a convolution to its input, a row of the filter at a time: the adjoint of what filter_rows does.
//
//     products[(p, q), (s, c)] = sum over k of grad_y[n, k, p, q] * w[k, c, r, s]
//     grad_x[n, p sh + r dh - ph, (q sw - pw + s, c)] += products[(p, q), (s, c)]
//
// In channels-last order the elements (s, c) that a pixel of grad_y gives to a row of grad_x lie side by side: rows of a register
// tile are pixels of grad_y, read where they lie, and its S C columns are added to that row as vectors. implicit_gemm has the C
// channels alone as columns, and col2im taps and channels as rows; each wins where it fills its tiles.
//
// A job is a band of rows of one image, summed up in the first- or second-level cache. An element gets its terms in the order of r,
// then q, wherever bands are cut. Bound by arithmetic: K multiply-adds to one addition in cache.
#include <algorithm>
#include <atomic>

#include "engine/parallel.h"
#include "kernels/common/arena.h"
#include "kernels/common/pack.h"
#include "kernels/common/row.h"
#include "kernels/conv2d/outside.h"

namespace ww::WW_ISA {
namespace {

constexpr int64_t kBandBytes = 48 * 1024;
constexpr int64_t kJobsWanted = 16;  // images times bands, for a small batch
constexpr int64_t kDeep = 32;        // filters from which on the additions are little beside the products

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <class T>
struct Plan : Conv2d {
    int64_t columns, panel;      // (s, c), and elements of the packed filters of one r
    int64_t row_length;          // of the sums: a row with its padding
    int64_t band, bands, jobs;   // rows of grad_x
    T *filters, *hidden, *sums;  // hidden: see outside.h; sums: a slot
    size_t bytes;

    Plan(const Call& call, void* workspace, int64_t slots) : Conv2d(Conv2d::backward_x(call)) {
        columns = w.filter * C;
        panel = packed_size<T>(K, columns);
        row_length = (std::max(w.in + w.padding, w.input(w.out - 1, w.filter - 1) + 1) + w.padding) * C;
        const int64_t fitting = kBandBytes / static_cast<int64_t>(sizeof(T)) / row_length;
        band = std::clamp<int64_t>(fitting, 1, std::max<int64_t>(1, ceil_div(h.in, ceil_div(kJobsWanted, N))));
        band = std::min(h.in, std::max<int64_t>(band, 1));
        bands = ceil_div(h.in, band), jobs = N * bands;
        Arena arena(workspace);
        filters = arena.take<T>(h.filter * panel);
        hidden = arena.take<T>(h.filter * columns);
        sums = arena.take<T>(slots * band * row_length);
        bytes = arena.used();
    }
};

template <class T>
void pack_filters(const Plan<T>& plan, const View& w) {
    std::fill(plan.hidden, plan.hidden + plan.h.filter * plan.columns, T(0));
    parallel_for(plan.h.filter, 1, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++)
            for (int64_t k = 0; k < plan.K; k++) {
                const T* const from = w.ptr<T>() + k * w.strides[0] + r * w.strides[2];
                int64_t s = 0, c = 0;
                for (int64_t j0 = 0; j0 < plan.columns; j0 += Tile<T>::columns) {
                    const int64_t width = panel_width<T>(plan.columns, j0), there = std::min(width, plan.columns - j0);
                    T* const to = plan.filters + r * plan.panel + j0 / Tile<T>::columns * panel_step<T>(plan.K) + k * width;
                    std::fill(to + there, to + width, T(0));
                    for (int64_t j = 0; j < there; j++) {
                        to[j] = from[c * w.strides[1] + s * w.strides[3]];
                        plan.hidden[r * plan.columns + j0 + j] += to[j] * T(0);
                        if (++c == plan.C) c = 0, s++;
                    }
                }
            }
    });
}

// Adds what row r of the filter sends to rows [row0, row1) of image n.
template <class T>
void add_row(const Plan<T>& plan, const View& grad_y, int64_t n, int64_t row0, int64_t row1, int64_t r, T* sums) {
    const ConvAxis &h = plan.h, &w = plan.w;
    auto bound = [&](int64_t row) {  // the first output whose tap r is not above it
        return std::min(h.out, ceil_div(std::max<int64_t>(0, row + h.padding - r * h.dilation), h.stride));
    };
    const int64_t p0 = bound(row0), pixels = (bound(row1) - p0) * w.out;
    alignas(64) T tile[Tile<T>::size];
    const int64_t none = 0;
    for (int64_t first = 0; first < pixels; first += Tile<T>::rows) {
        const int height = static_cast<int>(std::min<int64_t>(Tile<T>::rows, pixels - first));
        const T* rows[Tile<T>::rows];
        T* to[Tile<T>::rows];
        for (int i = 0; i < Tile<T>::rows; i++) {
            const int64_t pixel = first + std::min(i, height - 1), p = p0 + pixel / w.out, q = pixel % w.out;
            rows[i] = grad_y.ptr<T>() + n * grad_y.strides[0] + p * grad_y.strides[2] + q * grad_y.strides[3];
            to[i] = sums + (h.input(p, r) - row0) * plan.row_length + q * w.stride * plan.C;
        }
        for (int64_t j = 0; j < plan.columns; j += Tile<T>::columns) {
            const int64_t there = std::min<int64_t>(Tile<T>::columns, plan.columns - j);
            const T* const panel = plan.filters + r * plan.panel + j / Tile<T>::columns * panel_step<T>(plan.K);
            brgemm(Blocks<T>{1, plan.K, rows, 0, &none, grad_y.strides[1], panel, &none, panel_width<T>(plan.columns, j)}, height,
                   static_cast<int>(there), false, false, tile);
            for (int i = 0; i < height; i++) {
                const T* const from = tile + i * Tile<T>::columns;
                for_row<T>(there, [&](int64_t at, int lanes) {
                    T* const out = to[i] + j + at;
                    store_lanes(out, lanes, load_lanes(out, lanes) + load_lanes(from + at, lanes));
                });
            }
        }
    }
}

template <class T>
void run_job(const Call& call, const Plan<T>& plan, int64_t job, T* sums) {
    const View &grad_x = call.view(0), &grad_y = call.view(1);
    const int64_t n = job / plan.bands, row0 = job % plan.bands * plan.band, row1 = std::min(plan.h.in, row0 + plan.band);
    std::fill(sums, sums + (row1 - row0) * plan.row_length, T(0));
    for (int64_t r = 0; r < plan.h.filter; r++) add_row(plan, grad_y, n, row0, row1, r, sums);
    auto sum = [&](int64_t h, int64_t w, int64_t c) -> T& {
        return sums[(h - row0) * plan.row_length + (w + plan.w.padding) * plan.C + c];
    };
    add_outside(plan, plan.hidden, row0, row1, sum);
    for (int64_t h = row0; h < row1; h++) {
        T* const out = grad_x.ptr<T>() + n * grad_x.strides[0] + h * grad_x.strides[2];
        if (grad_x.strides[1] == 1 && grad_x.strides[3] == plan.C) {
            const T* const from = &sum(h, 0, 0);
            std::copy(from, from + plan.w.in * plan.C, out);
            continue;
        }
        for (int64_t w = 0; w < plan.w.in; w++) {
            const Row<T> to{out + w * grad_x.strides[3], grad_x.strides[1]};
            for_row<T>(plan.C, [&](int64_t c, int lanes) { to.store(c, lanes, load_lanes(&sum(h, w, c), lanes)); });
        }
    }
}

template <class T>
int64_t wanted_slots(const Call& call) {
    return std::min<int64_t>(Plan<T>(call, nullptr, 1).jobs, num_threads());
}

template <class T>
void backward_x(const Call& call) {
    if (call.view(0).size() == 0) return;
    int64_t slots = wanted_slots<T>(call);
    if (call.workspace_bytes < Plan<T>(call, nullptr, slots).bytes) slots = 1;  // threads were added since it was measured
    const Plan<T> plan(call, call.workspace, slots);
    pack_filters(plan, call.view(2));
    std::atomic<int64_t> next{0};
    parallel_for(slots, 1, [&](int64_t begin, int64_t end) {
        for (int64_t slot = begin; slot < end; slot++)
            for (int64_t job; (job = next.fetch_add(1, std::memory_order_relaxed)) < plan.jobs;)
                run_job(call, plan, job, plan.sums + slot * plan.band * plan.row_length);
    });
}

template <class T>
size_t workspace(const Call& call) {
    return call.view(0).size() == 0 ? 0 : Plan<T>(call, nullptr, wanted_slots<T>(call)).bytes;
}

// One group, many filters, and rows of the filter that fill vectors better than its channels, by a fifth; with fewer channels than
// lanes col2im is faster.
bool accepts(const Call& call) {
    const Conv2d g = Conv2d::backward_x(call);
    if (g.groups != 1 || g.w.dilation != 1 || g.K < kDeep || g.C == 0 || call.view(1).size() == 0) return false;
    const int64_t lanes = call.dtype == DType::float32 ? Tile<float>::lanes : Tile<double>::lanes;
    return g.C > lanes && 5 * ceil_div(g.w.filter * g.C, lanes) <= 4 * g.w.filter * ceil_div(g.C, lanes);
}

constexpr Kernel kernels[] = {{&kConv2dBackwardX, "row_scatter", WW_ISA_NAME, kFloats,
                               by_float<backward_x<float>, backward_x<double>>, 12, accepts,
                               bytes_by_float<workspace<float>, workspace<double>>}};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
