// Convolution with 3x3 filters, and its gradient to the input, by Winograd's F(2x2, 3x3) (winograd.h has the algorithm and its
// error):
//
//   1. filters are transformed into 16 matrices U [C, K], packed in panels for the microkernel
//   2. each job takes a block of tiles of 2 x 2 outputs, transforms their pixels into 16 matrices V [tiles, C], and for each panel
//   of K
//      multiplies M = V U and transforms M into outputs, with bias and activation
//
// backward_x is the convolution of grad_y with the filters turned by half a circle, padded by 2 - padding.
//
// A block of V is sized for the second-level cache; U streams by once a block. Bound by arithmetic: 4/9 of a plain
// convolution's. float32 alone: who computes in float64 asks for accuracy. A picture with a result that is not finite is computed
// again by implicit_gemm, which keeps infinities.
#include <algorithm>
#include <atomic>

#include "engine/parallel.h"
#include "kernels/common/arena.h"
#include "kernels/common/epilogue.h"
#include "kernels/conv2d/parts.h"
#include "kernels/conv2d/lattice.h"
#include "kernels/conv2d/winograd.h"

namespace ww::WW_ISA {
namespace {

using winograd::kPoints;
using Lanes = Vec<float>;

constexpr int64_t kBlockBytes = 1 << 20;  // of V of a job, which stays in the second-level cache
constexpr int64_t kMostRows = 4;          // tiles of the microkernel in a block
constexpr int64_t kJobsEach = 4;          // wanted for each thread: below that, jobs share a block and take some of its panels each

// The filters, as that convolution sees them: weight (k, c) of tap (r, s) of the first group; backward they are turned.
struct Filters {
    const float* from;
    int64_t k, c, r, s;  // strides
};

// A convolution of stride 1, forward or backward.
struct Problem {
    const View &in, &out;
    Filters filters;
    int64_t group_step;  // from the filters of a group to those of the next
    int64_t C, K;        // channels in and out of one group
    int64_t pad_h, pad_w;
    int64_t N, groups, R, S;
    int64_t across, parts;  // of the filter: in a row of it, and in all
    Picture<float> layout;  // of `in`, once its channels lie side by side
    winograd::Tiles tiles;
    int64_t panels, row;
    int64_t block, blocks;  // tiles of a job; blocks of one group
    int64_t cuts, slots;    // jobs of one block; jobs at a time

    static Problem forward(const Call& call) {
        const View& w = call.view(2);
        const int64_t* by = w.strides;
        Conv2d g = Conv2d::forward(call);
        return {call.view(1), call.view(0), {w.ptr<float>(), by[0], by[1], by[2], by[3]},
                by[0],        g.Cg,         g.Kg,
                g.h.padding,  g.w.padding,  g};
    }
    static Problem backward(const Call& call) {
        const View& w = call.view(2);
        const int64_t* by = w.strides;
        Conv2d g = Conv2d::backward_x(call);
        int64_t below = g.h.filter - 1, right = g.w.filter - 1;
        Filters turned{w.ptr<float>() + below * by[2] + right * by[3], by[1], by[0], -by[2], -by[3]};
        return {call.view(1), call.view(0), turned, by[0], g.Kg, g.Cg, below - g.h.padding, right - g.w.padding, g};
    }
    Problem(const View& from, const View& to, Filters w, int64_t filter_step, int64_t channels, int64_t outputs, int64_t padding_h,
            int64_t padding_w, const Conv2d& g)
        : in(from),
          out(to),
          filters(w),
          group_step(g.Kg * filter_step),
          C(channels),
          K(outputs),
          pad_h(padding_h),
          pad_w(padding_w),
          N(g.N),
          groups(g.groups),
          R(g.h.filter),
          S(g.w.filter),
          across(winograd::parts(g.w)),
          parts(winograd::parts(g.h) * across),
          layout(from),
          tiles(g.N, to.shape[2], to.shape[3]),
          panels((outputs + Tile<float>::columns - 1) / Tile<float>::columns),
          row(winograd::row_step<float>(channels)) {
        constexpr int64_t rows = Tile<float>::rows;
        const int64_t threads = num_threads(), bytes = kPoints * parts * row * static_cast<int64_t>(sizeof(float));
        block = rows * std::clamp<int64_t>(kBlockBytes / (rows * bytes), 1, kMostRows);
        blocks = (tiles.count + block - 1) / block;
        const int64_t jobs = std::max<int64_t>(1, blocks * groups);
        cuts = threads > 1 ? std::clamp<int64_t>(kJobsEach * threads / jobs, 1, std::max<int64_t>(1, panels / 2)) : 1;
        slots = std::min(threads, jobs * cuts);
    }

    int64_t panel_size() const { return kPoints * parts * C * Tile<float>::columns; }
    int64_t part_size() const { return kPoints * block * row; }  // of the pixels of a block
};

struct Workspace {
    std::atomic<bool>* again;  // of each picture: something was not finite
    float *picture, *zeros, *filters, *pixels, *products;
    size_t flags_bytes, bytes;

    Workspace(void* base, const Problem& p, int64_t slots) {
        Arena arena(base);
        again = arena.take<std::atomic<bool>>(p.N);
        flags_bytes = arena.used();
        picture = arena.take<float>(p.layout.copied ? p.in.size() : 0);
        zeros = arena.take<float>(p.C);
        filters = arena.take<float>(p.groups * p.panels * p.panel_size());
        pixels = arena.take<float>(slots * p.parts * p.part_size());
        products = arena.take<float>(slots * kPoints * p.block * Tile<float>::columns);
        bytes = arena.used();
    }
};

// What computes a picture again.
struct Plain {
    int views;
    void (*run)(const Call&);
    size_t (*bytes)(const Call&);
};

// U of K's lanes [k, k + n) and channel c, one part after the other; R and S are constants where that counts.
WW_INLINE void transform_lanes(const Problem& p, const float* at, int64_t R, int64_t S, int n, int64_t part_step,
                               int64_t point_step, float* to) {
    const Filters& f = p.filters;
    const int64_t taps = R * S, across = (S + 2) / 3, parts = (R + 2) / 3 * across;
    Lanes tap[winograd::kMostTaps], u[kPoints];
    const bool turned = f.s == -1 && f.r == -S;
    if ((f.s == 1 && f.r == S) || turned) winograd::load_filters(turned ? at - (taps - 1) : at, f.k, n, taps, tap);
    else
        for (int64_t t = 0; t < taps; t++) tap[t] = Lanes::gather(at + t / S * f.r + t % S * f.s, f.k, n);
    for (int64_t part = 0; part < parts; part++) {
        auto weight = [&](int i, int j) {
            int64_t r = part / across * 3 + i, s = part % across * 3 + j, t = r * S + s;
            return r < R && s < S ? tap[turned ? taps - 1 - t : t] : Lanes::zero();
        };
        winograd::transform_filter<float>(weight, u);
        unroll<kPoints>([&](auto x) { u[x].store(to + part * part_step + x * point_step); });
    }
}

// U of one panel: point x of a part at (x * parts + part) * C * width, rows c, columns k with zeros past the last.
void transform_panel(const Problem& p, int64_t group, int64_t panel, float* to) {
    int64_t k0 = panel * Tile<float>::columns, width = panel_width<float>(p.K, k0), step = p.C * width;
    const float* from = p.filters.from + group * p.group_step + k0 * p.filters.k;
    for (int64_t j = 0; j < width; j += Lanes::width) {
        int n = static_cast<int>(std::min<int64_t>(Lanes::width, p.K - k0 - j));
        for (int64_t c = 0; c < p.C; c++) {
            const float* at = from + j * p.filters.k + c * p.filters.c;
            if (p.R == 3 && p.S == 3) transform_lanes(p, at, 3, 3, n, step, step, to + c * width + j);
            else transform_lanes(p, at, p.R, p.S, n, step, p.parts * step, to + c * width + j);
        }
    }
}

struct Job {
    const Problem& p;
    int64_t group, first, count;  // tiles
    const float *in, *zeros, *filters;
    float *pixels, *products;
    std::atomic<bool>* again;
    Epilogue<float> epilogue;  // of the group

    Job(const Problem& problem, const Workspace& space, const Epilogue<float>& whole, int64_t g, int64_t tile, int64_t slot)
        : p(problem),
          group(g),
          first(tile),
          count(std::min(p.block, p.tiles.count - tile)),
          in((p.layout.copied ? space.picture : p.in.ptr<float>()) + g * p.C),
          zeros(space.zeros),
          filters(space.filters + g * p.panels * p.panel_size()),
          pixels(space.pixels + slot * p.parts * p.part_size()),
          products(space.products + slot * kPoints * p.block * Tile<float>::columns),
          again(space.again),
          epilogue(whole) {
        if (epilogue.bias) epilogue.bias += g * p.K * epilogue.column_stride;
    }

    void transform_pixels() const {
        for (int64_t t = 0; t < count; t++) {
            auto at = p.tiles.at(first + t);
            for (int64_t part = 0; part < p.parts; part++) {
                winograd::Window<float> window(in + at.n * p.layout.n, p.layout.h, p.layout.w, p.in.shape[2], p.in.shape[3],
                                               at.p - p.pad_h + part / p.across * 3, at.q - p.pad_w + part % p.across * 3, zeros);
                winograd::write_input(window, p.C, p.block * p.row, pixels + part * p.part_size() + t * p.row);
            }
        }
    }

    void multiply(int64_t panel) const {
        int64_t width = panel_width<float>(p.K, panel * Tile<float>::columns);
        int64_t part_pixels[winograd::kMostParts], part_filters[winograd::kMostParts];
        for (int64_t part = 0; part < p.parts; part++)
            part_pixels[part] = part * p.part_size(), part_filters[part] = part * p.C * width;
        for (int64_t x = 0; x < kPoints; x++)
            for (int64_t t = 0; t < count; t += Tile<float>::rows) {
                int height = static_cast<int>(std::min<int64_t>(Tile<float>::rows, count - t));
                const float* rows[Tile<float>::rows];
                for (int i = 0; i < Tile<float>::rows; i++) rows[i] = pixels + (x * p.block + t + std::min(i, height - 1)) * p.row;
                const float* u = filters + panel * p.panel_size() + x * p.parts * p.C * width;
                Blocks<float> blocks{p.parts, p.C, rows, 0, part_pixels, 1, u, part_filters, width};
                brgemm(blocks, height, static_cast<int>(width), false, false, products + (x * p.block + t) * Tile<float>::columns);
            }
    }

    void write_outputs(int64_t panel) const {
        int64_t k0 = panel * Tile<float>::columns, k = group * p.K + k0;
        int columns = static_cast<int>(std::min<int64_t>(Tile<float>::columns, p.K - k0));
        Epilogue<float> last = epilogue;
        if (last.bias) last.bias += k0 * last.column_stride;
        for (int64_t t = 0; t < count; t++) {
            auto at = p.tiles.at(first + t);
            alignas(64) float tile[4 * Tile<float>::columns];
            Lanes lost = Lanes::zero();
            for (int64_t j = 0; j < columns; j += Lanes::width) {
                Lanes y[4];
                const float* m = products + t * Tile<float>::columns + j;
                winograd::transform_products<float>(
                    [&](int i, int l) { return Lanes::load(m + (4 * i + l) * p.block * Tile<float>::columns); }, y);
                unroll<4>([&](auto i) {
                    y[i].store(tile + i * Tile<float>::columns + j);
                    lost += y[i] - y[i];  // NaN where it is not finite
                });
            }
            if (winograd::any_nan(lost)) again[at.n].store(true, std::memory_order_relaxed);
            int64_t h = p.out.strides[2], w = p.out.strides[3], rows[4] = {0, w, h, h + w};
            bool right = at.q + 1 < p.out.shape[3], below = at.p + 1 < p.out.shape[2];
            float* to = p.out.ptr<float>() + at.n * p.out.strides[0] + k * p.out.strides[1] + at.p * h + at.q * w;
            if (right) store_tile<float>(tile, {to, rows, p.out.strides[1], below ? 4 : 2, columns}, false, &last);
            else
                for (int i = 0; i < (below ? 4 : 2); i += 2)
                    store_tile<float>(tile + i * Tile<float>::columns, {to, rows + i, p.out.strides[1], 1, columns}, false, &last);
        }
    }
};

// The call for pictures [first, last), whose workspace begins after the flags.
struct Pictures {
    View views[4];
    int places[5] = {0, 1, 2, 3, 4};
    Call call;

    Pictures(const Call& whole, const Plain& plain, int64_t first, int64_t last, const Workspace& space) : call(whole) {
        for (int i = 0; i < plain.views; i++) views[i] = whole.view(i);
        for (int i = 0; i < 2; i++) {
            views[i].data = views[i].ptr<float>() + first * views[i].strides[0];
            views[i].shape[0] = last - first;
        }
        call.views = views, call.first = places;
        call.workspace = space.picture, call.workspace_bytes = whole.workspace_bytes - space.flags_bytes;
    }
    Pictures(const Pictures&) = delete;
};

size_t bytes(const Call& call, const Problem& p, const Plain& plain) {
    Workspace space(nullptr, p, p.slots);
    return p.N == 0 ? 0 : std::max(space.bytes, space.flags_bytes + plain.bytes(Pictures(call, plain, 0, p.N, space).call));
}

void run(const Call& call, const Problem& p, const Plain& plain, const Epilogue<float>& epilogue) {
    if (p.N == 0) return;
    int64_t slots = call.workspace_bytes < Workspace(nullptr, p, p.slots).bytes ? 1 : p.slots;  // threads were added since
    Workspace space(call.workspace, p, slots);
    for (int64_t n = 0; n < p.N; n++) new (space.again + n) std::atomic<bool>(false);
    std::fill(space.zeros, space.zeros + p.C, 0.0f);
    if (p.layout.copied) to_channels_last(p.in, space.picture);
    parallel_for(p.groups * p.panels, 1, [&](int64_t begin, int64_t end) {
        for (int64_t at = begin; at < end; at++)
            transform_panel(p, at / p.panels, at % p.panels, space.filters + at * p.panel_size());
    });
    std::atomic<int64_t> next{0};
    parallel_for(slots, 1, [&](int64_t begin, int64_t end) {
        for (int64_t slot = begin; slot < end; slot++)
            for (int64_t at; (at = next.fetch_add(1, std::memory_order_relaxed)) < p.groups * p.blocks * p.cuts;) {
                int64_t cut = at % p.cuts, block = at / p.cuts;
                Job job(p, space, epilogue, block / p.blocks, block % p.blocks * p.block, slot);
                job.transform_pixels();
                for (int64_t panel = cut * p.panels / p.cuts; panel < (cut + 1) * p.panels / p.cuts; panel++)
                    job.multiply(panel), job.write_outputs(panel);
            }
    });
    for (int64_t first = 0, last; first < p.N; first = last + 1) {
        for (last = first; last < p.N && space.again[last];) last++;
        if (first < last) plain.run(Pictures(call, plain, first, last, space).call);
    }
}

constexpr Plain kForward{4, implicit_gemm_forward<float>, implicit_gemm_forward_bytes<float>};
constexpr Plain kBackwardX{3, implicit_gemm_backward_x<float>, implicit_gemm_backward_x_bytes<float>};

void forward(const Call& call) {
    const View& b = call.view(3);
    run(call, Problem::forward(call), kForward,
        {b.present() ? b.ptr<float>() : nullptr, 0, b.present() ? b.strides[0] : 0, static_cast<Activation>(call.integer(4))});
}
size_t forward_bytes(const Call& call) { return bytes(call, Problem::forward(call), kForward); }
bool takes_forward(const Call& call) {
    Conv2d g = Conv2d::forward(call);
    return winograd::fits(g, g.Kg, g.h.out, g.w.out);
}

void backward_x(const Call& call) { run(call, Problem::backward(call), kBackwardX, {nullptr, 0, 0, Activation::none}); }
size_t backward_x_bytes(const Call& call) { return bytes(call, Problem::backward(call), kBackwardX); }
bool takes_backward_x(const Call& call) {
    Conv2d g = Conv2d::backward_x(call);
    return winograd::fits(g, g.Cg, g.h.in, g.w.in);
}

constexpr uint32_t kFloat32 = dtype_bit(DType::float32);
constexpr Kernel kernels[] = {
    {&kConv2dForward, "winograd", WW_ISA_NAME, kFloat32, forward, 14, takes_forward, forward_bytes},
    {&kConv2dBackwardX, "winograd", WW_ISA_NAME, kFloat32, backward_x, 14, takes_backward_x, backward_x_bytes},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
