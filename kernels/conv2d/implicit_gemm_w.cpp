// The gradient of a convolution to its weights on the batch-reduce GEMM microkernel:
//
//     grad_w[(r, s, c), k] = sum over lines (n, p), pixels q of x[n, c, p sh + r dh - ph, q sw + s dw - pw] * grad_y[n, k, p, q]
//
// Source: Georganas et al. 2019 (arXiv 1906.06440), section 3, with the pixels of an output line as the summed index of a block.
// Rows of a tile are (tap, channel) pairs, read in x where they lie, in any layout; columns are filters, from panels of grad_y that
// each job packs as it goes. With many channels a tile stays within one tap, and the pixels that this tap has outside the picture
// are left out of the sum. With few channels a tile spans taps: pixels inside for all of them are summed in the same way, and the
// rest one by one, with pointers to zero where a tap is outside.
//
// The lines are cut into chunks whose panel of grad_y (about 256 pixels) stays in L1 while all tiles pass by it, and the chunks
// into `splits` for parallelism where there are few panels; both depend on the shapes alone. Partial sums are kept in the workspace
// and added up in the order of the splits. Bound by arithmetic.
#include <algorithm>
#include <atomic>

#include "engine/parallel.h"
#include "kernels/common/arena.h"
#include "kernels/common/epilogue.h"
#include "kernels/common/pack.h"
#include "kernels/conv2d/parts.h"

namespace ww::WW_ISA {
namespace {

constexpr int64_t kChunkPixels = 256;
constexpr int64_t kJobsWanted = 24;   // panels times splits; more splits are more partial sums to add up
constexpr int64_t kEdgeBlocks = 32;   // single pixels that go into one call of the microkernel
constexpr int64_t kManyChannels = 8;  // from here on tiles keep to one tap

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

bool clipped(const ConvAxis& axis) {
    for (int64_t r = 0; r < axis.filter; r++)
        if (axis.first_output(r) > 0 || axis.last_output(r) < axis.out) return true;
    return false;
}

struct Plan : Conv2d {
    bool whole_taps;                 // a tile keeps to one tap
    int64_t rows, tap_tiles, tiles;  // of a tile; tiles of one tap (or of all, when they are not kept apart); tiles in all
    int64_t panels, lines, chunk_lines, chunks, splits, split_chunks, jobs;

    template <class T>
    Plan(const Call& call, T) : Conv2d(Conv2d::backward_w(call)) {
        rows = Tile<T>::rows;
        whole_taps = Cg >= kManyChannels && (clipped(h) || clipped(w));
        int64_t taps = h.filter * w.filter;
        tap_tiles = whole_taps ? ceil_div(Cg, rows) : ceil_div(taps * Cg, rows);
        tiles = whole_taps ? taps * tap_tiles : tap_tiles;
        panels = ceil_div(Kg, Tile<T>::columns);
        lines = N * h.out;
        chunk_lines = std::max<int64_t>(1, kChunkPixels / w.out);
        chunks = ceil_div(lines, chunk_lines);
        splits = std::clamp<int64_t>(ceil_div(kJobsWanted, std::max<int64_t>(1, groups * panels)), 1, std::max<int64_t>(1, chunks));
        split_chunks = ceil_div(chunks, splits);
        splits = std::max<int64_t>(1, ceil_div(chunks, std::max<int64_t>(1, split_chunks)));
        jobs = splits * groups * panels;
    }
    // Row i of tile t as tap * Cg + channel.
    int64_t first_row(int64_t t) const { return whole_taps ? t / tap_tiles * Cg + t % tap_tiles * rows : t * rows; }
    int height(int64_t t) const {
        int64_t end = whole_taps ? (t / tap_tiles + 1) * Cg : h.filter * w.filter * Cg;
        return static_cast<int>(std::min(rows, end - first_row(t)));
    }
};

template <class T>
struct Workspace {
    T *partials, *packed;
    int64_t *line_offset, *line_p, *a_offset, *b_offset;  // a number a line of a chunk
    int64_t packed_each;
    size_t bytes;

    Workspace(void* base, const Plan& p, int64_t slots) {
        Arena arena(base);
        packed_each = packed_size<T>(p.chunk_lines * p.w.out, Tile<T>::columns);
        partials = arena.take<T>(p.jobs * p.tiles * Tile<T>::size);
        packed = arena.take<T>(packed_each * slots);
        line_offset = arena.take<int64_t>(p.chunk_lines * slots);
        line_p = arena.take<int64_t>(p.chunk_lines * slots);
        a_offset = arena.take<int64_t>(p.chunk_lines * slots);
        b_offset = arena.take<int64_t>(p.chunk_lines * slots);
        bytes = arena.used();
    }
};

template <class T>
int64_t wanted_slots(const Plan& p) {
    int64_t work = p.lines * p.w.out * p.K * p.Cg * p.h.filter * p.w.filter;
    return work < 32 * 1024 ? 1 : std::min<int64_t>(p.jobs, num_threads());
}

// Outputs [first, last) of one axis.
struct Span {
    int64_t first, last;
    bool has(int64_t i) const { return i >= first && i < last; }
};

// One job's view of a chunk of lines.
template <class T>
struct Chunk {
    const Plan& plan;
    const T* x;  // channel 0 of the group
    const int64_t* x_strides;
    const T* grad;  // packed: [line][q][width]
    int64_t width, line0, line1;
    int columns;
    int64_t *line_offset, *line_p;  // of each line: where its image's row begins in x, and its p
    int64_t *a_offset, *b_offset;   // room for a number a line

    void set_lines(int64_t begin, int64_t end) {
        line0 = begin, line1 = end;
        for (int64_t line = line0; line < line1; line++) {
            line_p[line - line0] = line % plan.h.out;
            line_offset[line - line0] = line / plan.h.out * x_strides[0] + line % plan.h.out * plan.h.stride * x_strides[2];
        }
    }

    // Adds the sums of tile t over the lines and pixels in (p, q) to `to`, or begins it.
    void add_inside(int64_t t, Span p, Span q, bool add, T* to) const {
        int64_t count = 0, pixels = std::max<int64_t>(0, q.last - q.first);
        for (int64_t i = 0; i < line1 - line0; i++) {
            if (!p.has(line_p[i])) continue;
            a_offset[count] = line_offset[i];
            b_offset[count++] = (i * plan.w.out + q.first) * width;
        }
        const T* row[Tile<T>::rows];
        int height = plan.height(t);
        for (int i = 0; i < Tile<T>::rows; i++) {
            int64_t at = plan.first_row(t) + std::min(i, height - 1), tap = at / plan.Cg;
            row[i] = x + at % plan.Cg * x_strides[1] + plan.h.input(0, tap / plan.w.filter) * x_strides[2] +
                     plan.w.input(q.first, tap % plan.w.filter) * x_strides[3];
        }
        Blocks<T> blocks{count, pixels, row, 0, a_offset, plan.w.stride * x_strides[3], grad, b_offset, width};
        brgemm(blocks, height, columns, false, add, to);
    }

    // Adds the pixels outside (p, q), one by one.
    void add_edges(int64_t t, Span p, Span q, T* to) const {
        static constexpr T zero = 0;
        static constexpr int64_t none[kEdgeBlocks] = {};
        const T* pointers[kEdgeBlocks * Tile<T>::rows];
        int64_t offsets[kEdgeBlocks], count = 0;
        int height = plan.height(t);
        auto flush = [&] {
            Blocks<T> blocks{count, 1, pointers, Tile<T>::rows, none, 0, grad, offsets, 0};
            if (count) brgemm(blocks, height, columns, false, true, to);
            count = 0;
        };
        for (int64_t line = line0; line < line1; line++) {
            const T* image = x + line / plan.h.out * x_strides[0];
            int64_t at_p = line % plan.h.out;
            for (int64_t at_q = 0; at_q < plan.w.out; at_q++) {
                if (p.has(at_p) && q.has(at_q)) {
                    at_q = q.last - 1;
                    continue;
                }
                for (int i = 0; i < Tile<T>::rows; i++) {
                    int64_t at = plan.first_row(t) + std::min(i, height - 1), tap = at / plan.Cg;
                    int64_t h = plan.h.input(at_p, tap / plan.w.filter), w = plan.w.input(at_q, tap % plan.w.filter);
                    bool there = h >= 0 && h < plan.h.in && w >= 0 && w < plan.w.in;
                    pointers[count * Tile<T>::rows + i] =
                        there ? image + at % plan.Cg * x_strides[1] + h * x_strides[2] + w * x_strides[3] : &zero;
                }
                offsets[count++] = ((line - line0) * plan.w.out + at_q) * width;
                if (count == kEdgeBlocks) flush();
            }
        }
        flush();
    }

    void add_tile(int64_t t, bool add, T* to) const {
        // The outputs whose taps of all rows lie inside.
        int64_t first = plan.first_row(t) / plan.Cg, last = (plan.first_row(t) + plan.height(t) - 1) / plan.Cg;
        Span p{0, plan.h.out}, q{0, plan.w.out};
        for (int64_t tap = first; tap <= last; tap++) {
            int64_t r = tap / plan.w.filter, s = tap % plan.w.filter;
            p = {std::max(p.first, plan.h.first_output(r)), std::min(p.last, plan.h.last_output(r))};
            q = {std::max(q.first, plan.w.first_output(s)), std::min(q.last, plan.w.last_output(s))};
        }
        if (p.first >= p.last || q.first >= q.last) p = q = {0, 0};
        add_inside(t, p, q, add, to);
        if (first != last && (p.last - p.first < plan.h.out || q.last - q.first < plan.w.out)) add_edges(t, p, q, to);
    }
};

template <class T>
void run_job(const Call& call, const Plan& p, int64_t job, const Workspace<T>& space, int64_t slot) {
    const View &x = call.view(1), &grad_y = call.view(2);
    int64_t panel = job % p.panels, group = job / p.panels % p.groups, split = job / p.panels / p.groups;
    int64_t o = panel * Tile<T>::columns, k = group * p.Kg + o;
    T* packed = space.packed + slot * space.packed_each;
    T* partial = space.partials + job * p.tiles * Tile<T>::size;
    int columns = static_cast<int>(std::min<int64_t>(Tile<T>::columns, p.Kg - o));
    Chunk<T> chunk{p,
                   x.ptr<T>() + group * p.Cg * x.strides[1],
                   x.strides,
                   packed,
                   panel_width<T>(p.Kg, o),
                   0,
                   0,
                   columns,
                   space.line_offset + slot * p.chunk_lines,
                   space.line_p + slot * p.chunk_lines,
                   space.a_offset + slot * p.chunk_lines,
                   space.b_offset + slot * p.chunk_lines};
    int64_t begin = split * p.split_chunks, end = std::min(p.chunks, begin + p.split_chunks);
    for (int64_t at = begin; at < std::max(end, begin + 1); at++) {  // an empty sum is zero
        chunk.set_lines(std::min(p.lines, at * p.chunk_lines), std::min(p.lines, (at + 1) * p.chunk_lines));
        for (int64_t line = chunk.line0; line < chunk.line1; line++) {
            const T* from =
                grad_y.ptr<T>() + line / p.h.out * grad_y.strides[0] + k * grad_y.strides[1] + line % p.h.out * grad_y.strides[2];
            T* to = packed + (line - chunk.line0) * p.w.out * chunk.width;
            pack(to, from, p.w.out, columns, grad_y.strides[3], grad_y.strides[1]);
        }
        for (int64_t t = 0; t < p.tiles; t++) chunk.add_tile(t, at > begin, partial + t * Tile<T>::size);
    }
}

// Adds up the splits of one panel and writes its filters.
template <class T>
void write_panel(const Call& call, const Plan& p, int64_t group, int64_t panel, const Workspace<T>& space) {
    const View& grad_w = call.view(0);
    int64_t o = panel * Tile<T>::columns;
    T* out = grad_w.ptr<T>() + (group * p.Kg + o) * grad_w.strides[0];
    alignas(64) T sum[Tile<T>::size];
    for (int64_t t = 0; t < p.tiles; t++) {
        for (int64_t split = 0; split < p.splits; split++) {
            const T* from = space.partials + (((split * p.groups + group) * p.panels + panel) * p.tiles + t) * Tile<T>::size;
            for (int i = 0; i < Tile<T>::size; i += Tile<T>::lanes) {
                auto part = Vec<T>::load(from + i);
                (split ? Vec<T>::load(sum + i) + part : part).store(sum + i);
            }
        }
        int64_t to[Tile<T>::rows];
        for (int i = 0; i < p.height(t); i++) {
            int64_t at = p.first_row(t) + i, tap = at / p.Cg;
            to[i] = at % p.Cg * grad_w.strides[1] + tap / p.w.filter * grad_w.strides[2] + tap % p.w.filter * grad_w.strides[3];
        }
        int columns = static_cast<int>(std::min<int64_t>(Tile<T>::columns, p.Kg - o));
        TileTarget<T> target{out, to, grad_w.strides[0], p.height(t), columns};
        store_tile<T>(sum, target, false, nullptr);
    }
}

}  // namespace

template <class T>
void implicit_gemm_backward_w(const Call& call) {
    Plan p(call, T());
    if (call.view(0).size() == 0) return;
    int64_t slots = wanted_slots<T>(p);
    if (call.workspace_bytes < Workspace<T>(nullptr, p, slots).bytes) slots = 1;  // threads were added since it was measured
    Workspace<T> space(call.workspace, p, slots);
    std::atomic<int64_t> next{0};
    parallel_for(slots, 1, [&](int64_t begin, int64_t end) {
        for (int64_t slot = begin; slot < end; slot++)
            for (int64_t job; (job = next.fetch_add(1, std::memory_order_relaxed)) < p.jobs;) run_job(call, p, job, space, slot);
    });
    parallel_for(p.groups * p.panels, 1 + 8192 / (p.tiles * Tile<T>::size * p.splits), [&](int64_t begin, int64_t end) {
        for (int64_t at = begin; at < end; at++) write_panel(call, p, at / p.panels, at % p.panels, space);
    });
}

template <class T>
size_t implicit_gemm_backward_w_bytes(const Call& call) {
    Plan p(call, T());
    return call.view(0).size() == 0 ? 0 : Workspace<T>(nullptr, p, wanted_slots<T>(p)).bytes;
}

template void implicit_gemm_backward_w<float>(const Call&);
template void implicit_gemm_backward_w<double>(const Call&);
template size_t implicit_gemm_backward_w_bytes<float>(const Call&);
template size_t implicit_gemm_backward_w_bytes<double>(const Call&);

namespace {

constexpr Kernel kernels[] = {{&kConv2dBackwardW, "implicit_gemm", WW_ISA_NAME, kFloats,
                               by_float<implicit_gemm_backward_w<float>, implicit_gemm_backward_w<double>>, 10, nullptr,
                               bytes_by_float<implicit_gemm_backward_w_bytes<float>, implicit_gemm_backward_w_bytes<double>>}};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
