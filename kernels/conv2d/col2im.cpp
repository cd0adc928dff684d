// The gradient of a convolution to an input of few channels: products of the filters with lines of grad_y, each added where its tap
// lies in the picture.
//
//     columns[(r, s, c), (p, q)] = sum over k of w[k, c, r, s] * grad_y[n, k, p, q]
//     grad_x[n, c, p sh + r dh - ph, q sw + s dw - pw] += columns[(r, s, c), (p, q)]
//
// The adjoint of im2col (Chellapilla et al. 2006, "High Performance Convolutional Neural Networks for Document Processing"), but
// the columns exist a register tile at a time. implicit_gemm has the channels of grad_x as the columns of its tiles; where they are
// few, most lanes would be idle. Here lanes are pixels: rows of A are the filters, transposed once a call, and B is a block of
// lines of grad_y, packed as it is needed. Neighbouring pixels of a tap are neighbours in the sums too, which are kept planar, the
// columns of one phase w mod sw side by side, so that an addition is a vector; a job ends by writing its rows of grad_x from them.
//
// A job is a band of rows of one image and group. Blocks of lines are counted from the top of the picture, and a band leaves out
// only what does not reach it, so where the bands are cut does not show in the bits. Bound by arithmetic; K multiply-adds to one
// addition in the first-level cache.
#include <algorithm>
#include <atomic>

#include "engine/parallel.h"
#include "kernels/common/arena.h"
#include "kernels/common/pack.h"
#include "kernels/common/row.h"
#include "kernels/conv2d/outside.h"

namespace ww::WW_ISA {
namespace {

constexpr int64_t kJobsWanted = 16;  // images times bands, for a small batch

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Terms of the work to which `columns` pixels come: a tile of one vector is bound by its broadcasts, not by arithmetic.
template <class T>
double tile_cost(int64_t columns) {
    constexpr int64_t whole = Tile<T>::columns;
    int64_t vectors = ceil_div(columns % whole, Tile<T>::lanes);
    return static_cast<double>(columns / whole * Tile<T>::vectors) + (vectors ? static_cast<double>(vectors) + 0.7 : 0);
}

template <class T>
struct Plan : Conv2d {
    int64_t taps, filters_row;         // rows of the transposed filters, and elements from one to the next
    int64_t block_lines, blocks;       // lines of grad_y that are packed together
    int64_t band, bands, jobs;         // rows of grad_x
    int64_t phase_length, row_length;  // of the sums: one phase of a row, and a row with all its channels and phases

    explicit Plan(const Call& call) : Conv2d(Conv2d::backward_x(call)) {
        taps = h.filter * w.filter * Cg;
        filters_row = round_to_lanes<T>(Kg);
        // The number of lines that fills vectors best.
        block_lines = 1;
        double best = 1e30;
        for (int64_t lines = 1; lines <= std::min<int64_t>(h.out, 1 + 2 * Tile<T>::columns / w.out); lines++) {
            double cost = tile_cost<T>(lines * w.out) / static_cast<double>(lines);
            if (cost < best * 0.98) best = cost, block_lines = lines;
        }
        blocks = ceil_div(h.out, block_lines);
        int64_t wanted = ceil_div(kJobsWanted, std::max<int64_t>(1, N * groups));
        band = std::min(h.in, std::max(ceil_div(h.in, wanted), 4 * h.extent()));
        bands = ceil_div(h.in, band);
        jobs = N * groups * bands;
        int64_t reach = w.out + (w.filter - 1) * w.dilation / w.stride, end = (w.in - 1 + w.padding) / w.stride + 1;
        phase_length = std::max(reach, end);
        row_length = Cg * w.stride * phase_length;
    }
    int64_t sums_size() const { return band * row_length; }
    int64_t block_size() const { return packed_size<T>(Kg, block_lines * w.out); }
};

// Where the products of a tap and channel go: sums[offset + p * sh * row_length + q] for output (p, q), in a band that begins at
// row 0.
struct Tap {
    int64_t offset, r;
};

// Outputs [first, last).
struct Lines {
    int64_t first, last;
};

template <class T>
struct Workspace {
    T *filters, *hidden, *blocks, *sums;
    Tap* taps;
    Lines* lines;  // a slot: of each r those whose tap lies in the band
    size_t bytes;

    Workspace(void* base, const Plan<T>& p, int64_t slots) {
        Arena arena(base);
        filters = arena.take<T>(p.groups * p.taps * p.filters_row);
        hidden = arena.take<T>(p.groups * p.taps);
        blocks = arena.take<T>(p.block_size() * slots);
        sums = arena.take<T>(p.sums_size() * slots);
        taps = arena.take<Tap>(p.taps);
        lines = arena.take<Lines>(p.h.filter * slots);
        bytes = arena.used();
    }
};

// filters[group][(r, s, c)][k], and hidden[group][(r, s, c)]: what zeros times these weights add up to, NaN if one is not finite.
template <class T>
void transpose_filters(const Plan<T>& p, const View& w, T* filters, T* hidden) {
    parallel_for(p.groups * p.taps, 1 + 8192 / p.filters_row, [&](int64_t begin, int64_t end) {
        for (int64_t at = begin; at < end; at++) {
            int64_t group = at / p.taps, tap = at % p.taps / p.Cg, c = at % p.Cg;
            const T* from = w.ptr<T>() + group * p.Kg * w.strides[0] + c * w.strides[1] + tap / p.w.filter * w.strides[2] +
                            tap % p.w.filter * w.strides[3];
            T* to = filters + at * p.filters_row;
            hidden[at] = 0;
            for (int64_t k = 0; k < p.Kg; k++) to[k] = from[k * w.strides[0]], hidden[at] += to[k] * T(0);
        }
    });
}

template <class T>
struct Job {
    const Plan<T>& p;
    const View &grad_x, &grad_y;
    const T *filters, *hidden;  // of the group
    const Tap* taps;
    int64_t n, group, row0, row1;
    T *block, *sums;
    Lines* lines;

    // Adds a register tile, taps [at, at + height) times pixels [column, column + width) of the block that begins at line0.
    void add(const T* tile, int64_t at, int height, int64_t line0, int64_t line1, int64_t column, int64_t width) const {
        int64_t Q = p.w.out, first = line0 + column / Q, last = std::min(line1, line0 + ceil_div(column + width, Q));
        int64_t line_step = p.h.stride * p.row_length;
        for (int i = 0; i < height; i++) {
            Tap tap = taps[at + i];
            const T* row = tile + i * Tile<T>::columns;
            for (int64_t line = std::max(first, lines[tap.r].first); line < std::min(last, lines[tap.r].last); line++) {
                int64_t start = (line - line0) * Q - column, q0 = std::max<int64_t>(0, -start), q1 = std::min(Q, width - start);
                T* to = sums + tap.offset - row0 * p.row_length + line * line_step + q0;
                const T* from = row + start + q0;
                for_row<T>(q1 - q0, [&](int64_t q, int lanes) {
                    store_lanes(to + q, lanes, load_lanes(to + q, lanes) + load_lanes(from + q, lanes));
                });
            }
        }
    }

    void add_block(int64_t line0, int64_t line1) const {
        int64_t pixels = (line1 - line0) * p.w.out;
        const T* from = grad_y.ptr<T>() + n * grad_y.strides[0] + group * p.Kg * grad_y.strides[1] + line0 * grad_y.strides[2];
        pack(block, from, p.Kg, pixels, grad_y.strides[1], grad_y.strides[3]);
        alignas(64) T tile[Tile<T>::size];
        const int64_t none = 0;
        for (int64_t column = 0; column < pixels; column += Tile<T>::columns) {
            const T* panel = block + column / Tile<T>::columns * panel_step<T>(p.Kg);
            int64_t width = panel_width<T>(pixels, column), there = std::min<int64_t>(Tile<T>::columns, pixels - column);
            for (int64_t at = 0; at < p.taps; at += Tile<T>::rows) {
                int height = static_cast<int>(std::min<int64_t>(Tile<T>::rows, p.taps - at));
                const T* rows[Tile<T>::rows];
                for (int i = 0; i < Tile<T>::rows; i++) rows[i] = filters + (at + std::min(i, height - 1)) * p.filters_row;
                brgemm(Blocks<T>{1, p.Kg, rows, 0, &none, 1, panel, &none, width}, height, static_cast<int>(there), false, false,
                       tile);
                add(tile, at, height, line0, line1, column, there);
            }
        }
    }

    T* sum(int64_t h, int64_t x, int64_t c) const {
        int64_t at = x + p.w.padding;
        return sums + (h - row0) * p.row_length + (c * p.w.stride + at % p.w.stride) * p.phase_length + at / p.w.stride;
    }

    void write() const {
        T* out = grad_x.ptr<T>() + n * grad_x.strides[0] + group * p.Cg * grad_x.strides[1];
        int64_t step = grad_x.strides[3];
        for (int64_t h = row0; h < row1; h++)
            for (int64_t c = 0; c < p.Cg; c++) {
                T* to = out + h * grad_x.strides[2] + c * grad_x.strides[1];
                for (int64_t phase = 0; phase < std::min(p.w.stride, p.w.in); phase++) {  // x = phase, phase + sw, ...
                    const T* from = sum(h, phase, c);
                    Row<T> pixels{to + phase * step, p.w.stride * step};
                    for_row<T>(ceil_div(p.w.in - phase, p.w.stride),
                               [&](int64_t i, int lanes) { pixels.store(i, lanes, load_lanes(from + i, lanes)); });
                }
            }
    }

    void run() const {
        std::fill(sums, sums + (row1 - row0) * p.row_length, T(0));
        int64_t first = p.h.out, last = 0;
        for (int64_t r = 0; r < p.h.filter; r++) {
            auto bound = [&](int64_t row) {  // the first output whose tap r is not above it
                int64_t least = std::max<int64_t>(0, row + p.h.padding - r * p.h.dilation);
                return std::min(p.h.out, ceil_div(least, p.h.stride));
            };
            lines[r] = {bound(row0), bound(row1)};
            if (lines[r].first < lines[r].last) first = std::min(first, lines[r].first), last = std::max(last, lines[r].last);
        }
        for (int64_t b = first / p.block_lines; b * p.block_lines < last; b++)
            add_block(std::max(first, b * p.block_lines), std::min(last, (b + 1) * p.block_lines));
        add_outside(p, hidden, row0, row1, [&](int64_t h, int64_t x, int64_t c) -> T& { return *sum(h, x, c); });
        write();
    }
};

template <class T>
void backward_x(const Call& call) {
    const View &grad_x = call.view(0), &grad_y = call.view(1), &w = call.view(2);
    if (grad_x.size() == 0) return;
    Plan<T> p(call);
    int64_t slots = std::min<int64_t>(p.jobs, num_threads());
    if (call.workspace_bytes < Workspace<T>(nullptr, p, slots).bytes) slots = 1;  // threads were added since it was measured
    Workspace<T> space(call.workspace, p, slots);
    transpose_filters(p, w, space.filters, space.hidden);
    for (int64_t at = 0; at < p.taps; at++) {
        int64_t r = at / p.Cg / p.w.filter, right = at / p.Cg % p.w.filter * p.w.dilation, c = at % p.Cg;
        int64_t phase = (c * p.w.stride + right % p.w.stride) * p.phase_length + right / p.w.stride;
        space.taps[at] = {p.h.input(0, r) * p.row_length + phase, r};
    }
    std::atomic<int64_t> next{0};
    parallel_for(slots, 1, [&](int64_t begin, int64_t end) {
        for (int64_t slot = begin; slot < end; slot++)
            for (int64_t job; (job = next.fetch_add(1, std::memory_order_relaxed)) < p.jobs;) {
                int64_t row0 = job % p.bands * p.band, rest = job / p.bands, group = rest % p.groups;
                Job<T>{p,
                       grad_x,
                       grad_y,
                       space.filters + group * p.taps * p.filters_row,
                       space.hidden + group * p.taps,
                       space.taps,
                       rest / p.groups,
                       group,
                       row0,
                       std::min(p.h.in, row0 + p.band),
                       space.blocks + slot * p.block_size(),
                       space.sums + slot * p.sums_size(),
                       space.lines + slot * p.h.filter}
                    .run();
            }
    });
}

template <class T>
size_t workspace_bytes(const Call& call) {
    if (call.view(0).size() == 0) return 0;
    Plan<T> p(call);
    return Workspace<T>(nullptr, p, std::min<int64_t>(p.jobs, num_threads())).bytes;
}

// Lines that follow each other, so that a block of them is one matrix; and few channels, of which implicit_gemm would leave a sixth
// or more of its lanes idle. Measured against it with AVX-512: 4.8 to 9 times as fast for 1 and 3 channels, 1.9 for 20, 1.15 for
// 24; 0.9 for 32.
template <class T>
bool accepts(const Call& call) {
    const View &y = call.view(1), &w = call.view(2);
    int64_t channels = w.shape[1];
    bool follow = y.shape[2] <= 1 || y.strides[2] == y.shape[3] * y.strides[3];
    return follow && y.size() > 0 && channels < 32 && 6 * channels <= 5 * round_to_lanes<T>(channels);
}

bool accepts_call(const Call& call) { return call.dtype == DType::float32 ? accepts<float>(call) : accepts<double>(call); }

constexpr Kernel kernels[] = {{&kConv2dBackwardX, "col2im", WW_ISA_NAME, kFloats, by_float<backward_x<float>, backward_x<double>>,
                               11, accepts_call, bytes_by_float<workspace_bytes<float>, workspace_bytes<double>>}};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
