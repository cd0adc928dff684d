// The gradient of a convolution to its weights with the filters as rows: nothing is packed.
//
//     grad_w[k, r, (s, c)] = sum over lines (n, p), pixels q of grad_y[n, k, p, q] * x[n, p sh + r dh, (q sw + s, c)]
//
// In channels-last order the elements (s, c) that a pixel of a line meets under row r of the filter lie side by side, so they are
// the columns of B where they are, rows of B are sw C elements apart and overlap, and a block is a line. implicit_gemm has the
// filters as columns, packs grad_y and wins where they fill its vectors; here it is S C that must. 50 filters of 5 x 5 x 20 take
// 17 % less of the arithmetic's time this way.
//
// The lines are cut into splits, which with r are the jobs, and a split into chunks that stay in the first-level cache; where they
// are cut depends on the shapes alone. Partial sums are added up in the order of the splits. Bound by arithmetic.
#include <algorithm>

#include "engine/parallel.h"
#include "kernels/common/arena.h"
#include "kernels/common/brgemm.h"
#include "kernels/conv2d/conv2d.h"

namespace ww::WW_ISA {
namespace {

constexpr int64_t kChunkPixels = 128;
constexpr int64_t kJobsWanted = 24;  // splits times rows of the filter

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <class T>
struct Plan : Conv2d {
    int64_t columns;                               // (s, c)
    int64_t row_tiles, column_tiles, each;         // of one r, and elements of its partial sums
    int64_t lines, chunk_lines, splits, together;  // together: lines of a split
    T* partials;
    int64_t *a_offset, *b_offset;  // of each line
    size_t bytes;

    Plan(const Call& call, void* workspace) : Conv2d(Conv2d::backward_w(call)) {
        columns = w.filter * C;
        row_tiles = ceil_div(K, Tile<T>::rows), column_tiles = ceil_div(columns, Tile<T>::columns);
        each = row_tiles * column_tiles * Tile<T>::size;
        lines = N * h.out;
        chunk_lines = std::max<int64_t>(1, kChunkPixels / w.out);
        const int64_t chunks = ceil_div(lines, chunk_lines), wanted = std::min(chunks, ceil_div(kJobsWanted, h.filter));
        together = ceil_div(chunks, wanted) * chunk_lines;
        splits = ceil_div(lines, together);
        Arena arena(workspace);
        partials = arena.take<T>(splits * h.filter * each);
        a_offset = arena.take<int64_t>(lines), b_offset = arena.take<int64_t>(lines);
        bytes = arena.used();
    }
};

// The sums of one split and row of the filter.
template <class T>
void add_up(const Call& call, const Plan<T>& plan, int64_t split, int64_t r, T* partial) {
    const View &x = call.view(1), &grad_y = call.view(2);
    const int64_t end = std::min(plan.lines, (split + 1) * plan.together);
    const T* const from = x.ptr<T>() + r * plan.h.dilation * x.strides[2];
    for (int64_t line = split * plan.together; line < end; line += plan.chunk_lines) {
        const int64_t count = std::min(plan.chunk_lines, end - line);
        for (int64_t k = 0; k < plan.K; k += Tile<T>::rows) {
            const int height = static_cast<int>(std::min<int64_t>(Tile<T>::rows, plan.K - k));
            const T* rows[Tile<T>::rows];
            for (int i = 0; i < Tile<T>::rows; i++) rows[i] = grad_y.ptr<T>() + (k + std::min(i, height - 1)) * grad_y.strides[1];
            for (int64_t j = 0; j < plan.columns; j += Tile<T>::columns) {
                const int width = static_cast<int>(std::min<int64_t>(Tile<T>::columns, plan.columns - j));
                const Blocks<T> blocks{count,    plan.w.out,           rows,
                                       0,        plan.a_offset + line, grad_y.strides[3],
                                       from + j, plan.b_offset + line, plan.w.stride * plan.C};
                T* const tile = partial + (k / Tile<T>::rows * plan.column_tiles + j / Tile<T>::columns) * Tile<T>::size;
                brgemm(blocks, height, width, true, line > split * plan.together, tile);
            }
        }
    }
}

// Adds up the splits of filter k, row r.
template <class T>
void write_filter(const Call& call, const Plan<T>& plan, int64_t k, int64_t r) {
    const View& grad_w = call.view(0);
    const T* const first = plan.partials + r * plan.each + k / Tile<T>::rows * plan.column_tiles * Tile<T>::size +
                           k % Tile<T>::rows * Tile<T>::columns;
    T* const out = grad_w.ptr<T>() + k * grad_w.strides[0] + r * grad_w.strides[2];
    int64_t s = 0, c = 0;
    for (int64_t tile = 0; tile < plan.column_tiles; tile++) {
        alignas(64) T sums[Tile<T>::columns];
        for (int64_t j = 0; j < Tile<T>::columns; j += Tile<T>::lanes) {
            const T* from = first + tile * Tile<T>::size + j;
            auto sum = Vec<T>::load(from);
            for (int64_t split = 1; split < plan.splits; split++) sum += Vec<T>::load(from += plan.h.filter * plan.each);
            sum.store(sums + j);
        }
        const int64_t width = std::min<int64_t>(Tile<T>::columns, plan.columns - tile * Tile<T>::columns);
        for (int64_t j = 0; j < width; j++) {
            out[c * grad_w.strides[1] + s * grad_w.strides[3]] = sums[j];
            if (++c == plan.C) c = 0, s++;
        }
    }
}

template <class T>
void backward_w(const Call& call) {
    const View &x = call.view(1), &grad_y = call.view(2);
    const Plan<T> plan(call, call.workspace);
    for (int64_t line = 0; line < plan.lines; line++) {
        const int64_t n = line / plan.h.out, p = line % plan.h.out;
        plan.a_offset[line] = n * grad_y.strides[0] + p * grad_y.strides[2];
        plan.b_offset[line] = n * x.strides[0] + p * plan.h.stride * x.strides[2];
    }
    parallel_for(plan.splits * plan.h.filter, 1, [&](int64_t begin, int64_t end) {
        for (int64_t job = begin; job < end; job++)
            add_up(call, plan, job / plan.h.filter, job % plan.h.filter, plan.partials + job * plan.each);
    });
    const int64_t work = plan.columns * plan.splits;
    parallel_for(plan.K * plan.h.filter, 1 + 16384 / work, [&](int64_t begin, int64_t end) {
        for (int64_t at = begin; at < end; at++) write_filter(call, plan, at / plan.h.filter, at % plan.h.filter);
    });
}

// One group, no padding, and a picture in channels-last order.
bool accepts(const Call& call) {
    const Conv2d g = Conv2d::backward_w(call);
    const View &x = call.view(1), &grad_y = call.view(2);
    if (g.groups != 1 || g.h.padding || g.w.padding || g.w.dilation != 1 || grad_y.size() == 0 || g.C == 0) return false;
    if ((g.C > 1 && x.strides[1] != 1) || (g.w.in > 1 && x.strides[3] != g.C)) return false;
    const bool single = call.dtype == DType::float32;
    const int64_t lanes = single ? Tile<float>::lanes : Tile<double>::lanes, rows = single ? Tile<float>::rows : Tile<double>::rows;
    const int64_t columns = g.w.filter * g.C, ours = ceil_div(columns, lanes) * ceil_div(g.K, rows);
    return ours <= ceil_div(g.K, lanes) * ceil_div(columns, rows);  // the time of implicit_gemm's tiles, which are packed too
}

template <class T>
size_t workspace(const Call& call) {
    return Plan<T>(call, nullptr).bytes;
}

constexpr Kernel kernels[] = {{&kConv2dBackwardW, "filter_rows", WW_ISA_NAME, kFloats,
                               by_float<backward_w<float>, backward_w<double>>, 11, accepts,
                               bytes_by_float<workspace<float>, workspace<double>>}};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
