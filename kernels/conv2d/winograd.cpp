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
// A block of V and M is sized for the second-level cache; U streams by once a block. Bound by arithmetic: 4/9 of a plain
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
using Strides = const int64_t*;

constexpr int64_t kBlock = 4 * Tile<float>::rows;  // tiles of a job

// A convolution of stride 1, forward or backward.
struct Problem {
    const View &in, &out;
    Picture<float> layout;    // of `in`, once its channels lie side by side
    int64_t N, C, K, groups;  // channels in and out of one group
    int64_t pad_h, pad_w;
    // Weight (k, c) of tap (r, s); backward they are those of the filter that is turned.
    const float* weights;
    int64_t w_k, w_c, w_r, w_s, w_group;
    winograd::Tiles tiles;
    int64_t panels, row, slots;

    static Problem forward(const Call& call) {
        const View &x = call.view(1), &w = call.view(2), &y = call.view(0);
        Conv2d g = Conv2d::forward(call);
        Strides s = w.strides;
        return {x, y, g, g.Cg, g.Kg, g.h.padding, g.w.padding, w.ptr<float>(), s[0], s[1], s[2], s[3], g.Kg * s[0]};
    }
    static Problem backward(const Call& call) {
        const View &grad_y = call.view(1), &w = call.view(2), &grad_x = call.view(0);
        Conv2d g = Conv2d::backward_x(call);
        Strides s = w.strides;
        return {grad_y, grad_x, g,     g.Kg,  g.Cg,       2 - g.h.padding, 2 - g.w.padding, w.ptr<float>() + 2 * s[2] + 2 * s[3],
                s[1],   s[0],   -s[2], -s[3], g.Kg * s[0]};
    }
    Problem(const View& from, const View& to, const Conv2d& g, int64_t channels, int64_t outputs, int64_t padding_h,
            int64_t padding_w, const float* w, int64_t k_stride, int64_t c_stride, int64_t r_stride, int64_t s_stride,
            int64_t group_stride)
        : in(from),
          out(to),
          layout(from),
          N(g.N),
          C(channels),
          K(outputs),
          groups(g.groups),
          pad_h(padding_h),
          pad_w(padding_w),
          weights(w),
          w_k(k_stride),
          w_c(c_stride),
          w_r(r_stride),
          w_s(s_stride),
          w_group(group_stride),
          tiles(g.N, to.shape[2], to.shape[3]),
          panels((outputs + Tile<float>::columns - 1) / Tile<float>::columns),
          row(winograd::row_step<float>(channels)),
          slots(std::min<int64_t>(num_threads(), blocks() * groups)) {}

    int64_t blocks() const { return (tiles.count + kBlock - 1) / kBlock; }
    int64_t panel_size() const { return kPoints * C * Tile<float>::columns; }
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
        pixels = arena.take<float>(slots * kPoints * kBlock * p.row);
        products = arena.take<float>(slots * kPoints * kBlock * Tile<float>::columns);
        bytes = arena.used();
    }
};

// What computes a picture again.
struct Plain {
    int views;
    void (*run)(const Call&);
    size_t (*bytes)(const Call&);
};

// U of one panel: point x at x * C * width, rows c, columns k with zeros past the last.
void transform_panel(const Problem& p, int64_t group, int64_t panel, float* to) {
    int64_t k0 = panel * Tile<float>::columns, width = panel_width<float>(p.K, k0);
    const float* from = p.weights + group * p.w_group + k0 * p.w_k;
    bool neighbours = p.w_s == 1 && p.w_r == 3, turned = p.w_s == -1 && p.w_r == -3;
    for (int64_t j = 0; j < width; j += Lanes::width) {
        int n = static_cast<int>(std::min<int64_t>(Lanes::width, p.K - k0 - j));
        for (int64_t c = 0; c < p.C; c++) {
            const float* at = from + j * p.w_k + c * p.w_c;
            Lanes tap[9], u[kPoints];
            if (neighbours) winograd::load_filters(at, p.w_k, n, tap);
            else if (turned) {
                winograd::load_filters(at - 8, p.w_k, n, tap);
                std::reverse(tap, tap + 9);
            } else
                for (int t = 0; t < 9; t++) tap[t] = Lanes::gather(at + t / 3 * p.w_r + t % 3 * p.w_s, p.w_k, n);
            winograd::transform_filter(tap, u);
            unroll<kPoints>([&](auto x) { u[x].store(to + (x * p.C + c) * width + j); });
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
          count(std::min(kBlock, p.tiles.count - tile)),
          in((p.layout.copied ? space.picture : p.in.ptr<float>()) + g * p.C),
          zeros(space.zeros),
          filters(space.filters + g * p.panels * p.panel_size()),
          pixels(space.pixels + slot * kPoints * kBlock * p.row),
          products(space.products + slot * kPoints * kBlock * Tile<float>::columns),
          again(space.again),
          epilogue(whole) {
        if (epilogue.bias) epilogue.bias += g * p.K * epilogue.column_stride;
    }

    void transform_pixels() const {
        for (int64_t t = 0; t < count; t++) {
            auto at = p.tiles.at(first + t);
            winograd::Window<float> window(in + at.n * p.layout.n, p.layout.h, p.layout.w, p.in.shape[2], p.in.shape[3],
                                           at.p - p.pad_h, at.q - p.pad_w, zeros);
            winograd::write_input(window, p.C, kBlock * p.row, pixels + t * p.row);
        }
    }

    void multiply(int64_t panel) const {
        static constexpr int64_t none = 0;
        int64_t k0 = panel * Tile<float>::columns, width = panel_width<float>(p.K, k0);
        for (int64_t x = 0; x < kPoints; x++)
            for (int64_t t = 0; t < count; t += Tile<float>::rows) {
                int height = static_cast<int>(std::min<int64_t>(Tile<float>::rows, count - t));
                const float* rows[Tile<float>::rows];
                for (int i = 0; i < Tile<float>::rows; i++) rows[i] = pixels + (x * kBlock + t + std::min(i, height - 1)) * p.row;
                Blocks<float> blocks{1, p.C, rows, 0, &none, 1, filters + panel * p.panel_size() + x * p.C * width, &none, width};
                brgemm(blocks, height, static_cast<int>(width), false, false, products + (x * kBlock + t) * Tile<float>::columns);
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
                    [&](int i, int l) { return Lanes::load(m + (4 * i + l) * kBlock * Tile<float>::columns); }, y);
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

// The call for one picture, whose workspace begins after the flags.
struct OnePicture {
    View views[4];
    int places[5] = {0, 1, 2, 3, 4};
    Call call;

    OnePicture(const Call& whole, const Plain& plain, int64_t n, const Workspace& space) : call(whole) {
        for (int i = 0; i < plain.views; i++) views[i] = whole.view(i);
        for (int i = 0; i < 2; i++) {
            views[i].data = views[i].ptr<float>() + n * views[i].strides[0];
            views[i].shape[0] = 1;
        }
        call.views = views, call.first = places;
        call.workspace = space.picture, call.workspace_bytes = whole.workspace_bytes - space.flags_bytes;
    }
    OnePicture(const OnePicture&) = delete;
};

size_t bytes(const Call& call, const Problem& p, const Plain& plain) {
    Workspace space(nullptr, p, p.slots);
    return p.N == 0 ? 0 : std::max(space.bytes, space.flags_bytes + plain.bytes(OnePicture(call, plain, 0, space).call));
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
            for (int64_t at; (at = next.fetch_add(1, std::memory_order_relaxed)) < p.groups * p.blocks();) {
                Job job(p, space, epilogue, at / p.blocks(), at % p.blocks() * kBlock, slot);
                job.transform_pixels();
                for (int64_t panel = 0; panel < p.panels; panel++) job.multiply(panel), job.write_outputs(panel);
            }
    });
    for (int64_t n = 0; n < p.N; n++)
        if (space.again[n]) plain.run(OnePicture(call, plain, n, space).call);
}

constexpr Plain kForward{4, implicit_gemm_forward<float>, implicit_gemm_forward_bytes<float>};
constexpr Plain kBackwardX{3, implicit_gemm_backward_x<float>, implicit_gemm_backward_x_bytes<float>};

void forward(const Call& call) {
    const View& b = call.view(3);
    run(call, Problem::forward(call), kForward,
        {b.present() ? b.ptr<float>() : nullptr, 0, b.present() ? b.strides[0] : 0, static_cast<Activation>(call.integer(4))});
}
size_t forward_bytes(const Call& call) { return bytes(call, Problem::forward(call), kForward); }
bool takes_forward(const Call& call) { return winograd::fits(Conv2d::forward(call)); }

void backward_x(const Call& call) { run(call, Problem::backward(call), kBackwardX, {nullptr, 0, 0, Activation::none}); }
size_t backward_x_bytes(const Call& call) { return bytes(call, Problem::backward(call), kBackwardX); }
bool takes_backward_x(const Call& call) { return winograd::fits(Conv2d::backward_x(call)); }

constexpr uint32_t kFloat32 = dtype_bit(DType::float32);
constexpr Kernel kernels[] = {
    {&kConv2dForward, "winograd", WW_ISA_NAME, kFloat32, forward, 14, takes_forward, forward_bytes},
    {&kConv2dBackwardX, "winograd", WW_ISA_NAME, kFloat32, backward_x, 14, takes_backward_x, backward_x_bytes},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
