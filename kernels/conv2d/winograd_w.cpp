// The gradient of a convolution to its filters by Winograd's F(2x2, 3x3), as the adjoint of winograd.cpp:
//
//     grad_w[k, c] = G' [ sum over tiles of (A grad_y A') * (B' x B) ] G        for each part of 3x3 of the filters
//
// Chunk by chunk of tiles, all threads transform pixels into 16 matrices V [tiles, C] and gradients into 16 matrices D [tiles, K],
// in panels for the microkernel, and then add V' D to 16 sums [C, K] a part. Each element is one chain over the tiles, cut at the
// chunks, whose size depends on the shapes alone: its bits do not depend on the threads. Bound by arithmetic: 4/9 of a plain sum's.
// float32 alone, and implicit_gemm computes again what is not finite, as in winograd.cpp.
#include <algorithm>
#include <atomic>

#include "engine/parallel.h"
#include "kernels/common/arena.h"
#include "kernels/common/epilogue.h"
#include "kernels/conv2d/lattice.h"
#include "kernels/conv2d/parts.h"
#include "kernels/conv2d/winograd.h"

namespace ww::WW_ISA {
namespace {

using winograd::kPoints;
using Lanes = Vec<float>;
using Panel = Tile<float>;

constexpr int64_t kChunkFloats = 256 * 1024;  // of V and D of one chunk, about: they lie in the caches of all cores together
constexpr int64_t kLeastTiles = 64;           // of a chunk, against loading and storing the sums

struct Problem : Conv2d {
    const View &grad_w, &x, &grad_y;
    Picture<float> x_layout, y_layout;
    winograd::Tiles tiles;
    int64_t across, parts;  // of the filter: in a row of it, and in all
    int64_t chunk;          // tiles
    int64_t row, panels, heights;

    explicit Problem(const Call& call)
        : Conv2d(Conv2d::backward_w(call)),
          grad_w(call.view(0)),
          x(call.view(1)),
          grad_y(call.view(2)),
          x_layout(x),
          y_layout(grad_y),
          tiles(N, h.out, w.out),
          across(winograd::parts(w)),
          parts(winograd::parts(h) * across),
          chunk(std::clamp<int64_t>(kChunkFloats / (kPoints * (parts * Cg + Kg)), kLeastTiles, 4 * kLeastTiles)),
          row(winograd::row_step<float>(Cg)),
          panels((Kg + Panel::columns - 1) / Panel::columns),
          heights((Cg + Panel::rows - 1) / Panel::rows) {}

    int64_t panel_size() const { return panel_step<float>(chunk); }  // of one point
};

struct Workspace {
    float *x, *grad_y, *zeros, *pixels, *gradients, *sums;
    size_t bytes;

    Workspace(void* base, const Problem& p) {
        Arena arena(base);
        x = arena.take<float>(p.x_layout.copied ? p.x.size() : 0);
        grad_y = arena.take<float>(p.y_layout.copied ? p.grad_y.size() : 0);
        zeros = arena.take<float>(std::max(p.Cg, p.Kg));
        pixels = arena.take<float>(p.parts * kPoints * p.chunk * p.row);
        gradients = arena.take<float>(kPoints * p.panels * p.panel_size());
        sums = arena.take<float>(p.parts * kPoints * p.panels * p.heights * Panel::size);
        bytes = arena.used();
    }
};

struct Group {
    const Problem& p;
    const Workspace& space;
    const float *x, *grad_y;
    float* out;

    Group(const Problem& problem, const Workspace& workspace, int64_t group)
        : p(problem),
          space(workspace),
          x((p.x_layout.copied ? space.x : p.x.ptr<float>()) + group * p.Cg),
          grad_y((p.y_layout.copied ? space.grad_y : p.grad_y.ptr<float>()) + group * p.Kg),
          out(p.grad_w.ptr<float>() + group * p.Kg * p.grad_w.strides[0]) {}

    float* sums(int64_t point, int64_t panel) const { return space.sums + (point * p.panels + panel) * p.heights * Panel::size; }
    float* gradients(int64_t point, int64_t panel) const { return space.gradients + (point * p.panels + panel) * p.panel_size(); }

    // Tile t of the picture as row `at` of the chunk.
    void transform(int64_t t, int64_t at) const {
        auto tile = p.tiles.at(t);
        for (int64_t part = 0; part < p.parts; part++) {
            winograd::Window<float> window(x + tile.n * p.x_layout.n, p.x_layout.h, p.x_layout.w, p.h.in, p.w.in,
                                           tile.p - p.h.padding + part / p.across * 3, tile.q - p.w.padding + part % p.across * 3,
                                           space.zeros);
            winograd::write_input(window, p.Cg, p.chunk * p.row, space.pixels + (part * kPoints * p.chunk + at) * p.row);
        }
        const float* y[4];
        for (int i = 0; i < 4; i++) {
            int64_t down = tile.p + i / 2, right = tile.q + i % 2;
            bool inside = down < p.h.out && right < p.w.out;
            y[i] = inside ? grad_y + tile.n * p.y_layout.n + down * p.y_layout.h + right * p.y_layout.w : space.zeros;
        }
        for (int64_t k = 0; k < p.Kg; k += Lanes::width) {
            int n = static_cast<int>(std::min<int64_t>(Lanes::width, p.Kg - k));
            int64_t panel = k / Panel::columns, k0 = panel * Panel::columns, width = panel_width<float>(p.Kg, k0);
            Lanes pixel[4], d[kPoints];
            unroll<4>([&](auto i) { pixel[i] = n == Lanes::width ? Lanes::load(y[i] + k) : Lanes::load_partial(y[i] + k, n); });
            winograd::transform_gradient(pixel, d);
            unroll<kPoints>([&](auto point) { d[point].store(gradients(point, panel) + at * width + k - k0); });
        }
    }

    // Adds V' D of one point of a part and one panel, or begins it.
    void multiply(int64_t point, int64_t panel, int64_t count, bool add) const {
        static constexpr int64_t none = 0;
        int64_t width = panel_width<float>(p.Kg, panel * Panel::columns);
        for (int64_t i = 0; i < p.heights; i++) {
            int height = static_cast<int>(std::min<int64_t>(Panel::rows, p.Cg - i * Panel::rows));
            const float* rows[Panel::rows];
            for (int r = 0; r < Panel::rows; r++)
                rows[r] = space.pixels + point * p.chunk * p.row + i * Panel::rows + std::min(r, height - 1);
            Blocks<float> blocks{1, count, rows, 0, &none, p.row, gradients(point % kPoints, panel), &none, width};
            brgemm(blocks, height, static_cast<int>(width), false, add, sums(point, panel) + i * Panel::size);
        }
    }

    // Writes the filters of one panel; whether all are finite.
    bool write(int64_t panel) const {
        int64_t k0 = panel * Panel::columns, columns = std::min<int64_t>(Panel::columns, p.Kg - k0);
        const int64_t *by = p.grad_w.strides, R = p.h.filter, S = p.w.filter;
        Lanes lost = Lanes::zero();
        for (int64_t c = 0; c < p.Cg; c++)
            for (int64_t j = 0; j < columns; j += Lanes::width) {
                int n = static_cast<int>(std::min<int64_t>(Lanes::width, columns - j));
                int64_t at = c / Panel::rows * Panel::size + c % Panel::rows * Panel::columns + j;
                Lanes tap[winograd::kMostTaps], w[9];
                for (int64_t part = 0; part < p.parts; part++) {
                    int64_t r0 = part / p.across * 3, s0 = part % p.across * 3;
                    winograd::transform_sums<float>(
                        [&](int i, int l) { return Lanes::load(sums(part * kPoints + 4 * i + l, panel) + at); }, w);
                    for (int64_t r = r0; r < std::min(R, r0 + 3); r++)
                        for (int64_t s = s0; s < std::min(S, s0 + 3); s++) tap[r * S + s] = w[(r - r0) * 3 + s - s0];
                }
                for (int64_t t = 0; t < R * S; t++) lost += tap[t] - tap[t];  // NaN where it is not finite
                float* to = out + (k0 + j) * by[0] + c * by[1];
                if (by[3] == 1 && by[2] == S) winograd::store_filters(tap, by[0], n, R * S, to);
                else
                    for (int64_t t = 0; t < R * S; t++) tap[t].scatter(to + t / S * by[2] + t % S * by[3], by[0], n);
            }
        return !winograd::any_nan(lost);
    }
};

void backward_w(const Call& call) {
    Problem p(call);
    if (p.N == 0) return implicit_gemm_backward_w<float>(call);
    Workspace space(call.workspace, p);
    std::fill(space.zeros, space.zeros + std::max(p.Cg, p.Kg), 0.0f);
    if (p.x_layout.copied) to_channels_last(p.x, space.x);
    if (p.y_layout.copied) to_channels_last(p.grad_y, space.grad_y);
    std::atomic<bool> finite{true};
    for (int64_t g = 0; g < p.groups; g++) {
        Group group(p, space, g);
        for (int64_t first = 0; first < p.tiles.count; first += p.chunk) {
            int64_t count = std::min(p.chunk, p.tiles.count - first);
            parallel_for(count, 4, [&](int64_t begin, int64_t end) {
                for (int64_t t = begin; t < end; t++) group.transform(first + t, t);
            });
            parallel_for(p.parts * kPoints * p.panels, 1, [&](int64_t begin, int64_t end) {
                for (int64_t at = begin; at < end; at++) group.multiply(at / p.panels, at % p.panels, count, first > 0);
            });
        }
        parallel_for(p.panels, 1, [&](int64_t begin, int64_t end) {
            for (int64_t panel = begin; panel < end; panel++)
                if (!group.write(panel)) finite = false;
        });
    }
    if (!finite) implicit_gemm_backward_w<float>(call);
}

size_t bytes(const Call& call) {
    Problem p(call);
    return std::max(Workspace(nullptr, p).bytes, implicit_gemm_backward_w_bytes<float>(call));
}

bool accepts(const Call& call) {
    Conv2d g = Conv2d::backward_w(call);
    return winograd::fits(g, g.Kg, g.h.out, g.w.out);
}

constexpr Kernel kernels[] = {
    {&kConv2dBackwardW, "winograd", WW_ISA_NAME, dtype_bit(DType::float32), backward_w, 14, accepts, bytes},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
