// The forward convolution of few channels with stride 1: lanes are pixels, and the picture is the B of the product where it lies.
//
//     sums[k, j] = sum over (c, r) and s of w[k, c, r, s] * x[n, c][r dh pitch + s dw + j],  j = p pitch + q
//
// A tap (c, r, s) of all pixels is the picture itself, moved: so the terms s of a block are B's rows `dw` apart, which overlap, and
// blocks (c, r) are offsets. Nothing is packed but the filters, and there are no patches. The price is the columns Q <= q < pitch,
// which are computed and dropped: S - 1 of W + 2 pw. implicit_gemm has the filters as lanes, of which 20 fill 16 and a quarter of
// the next 16, and must put the taps of each pixel side by side first.
//
// A job is a band of output rows of one image and group. A tile of all filters is transposed in registers on its way to the output,
// whose channels lie side by side; bias and ReLU come there. A picture with padding, or whose rows are no lines of neighbours, is
// copied first: of few channels, so it is small against the output. Each sum is one chain over (c, r, s). Bound by arithmetic.
#include <algorithm>

#include "engine/parallel.h"
#include "kernels/common/arena.h"
#include "kernels/common/brgemm.h"
#include "kernels/common/row.h"
#include "kernels/common/transpose.h"
#include "kernels/conv2d/parts.h"

namespace ww::WW_ISA {
namespace {

constexpr int64_t kFewChannels = 4;
constexpr int64_t kFewFilters = 32;  // of a group; with more, implicit_gemm's lanes are busy too, and it has nothing to transpose
constexpr int64_t kBandTiles = 8;    // tiles of columns in a job, or about as many

template <class T>
struct Plan : Conv2d {
    static constexpr int64_t lanes = Vec<T>::width, columns = Tile<T>::columns;
    static constexpr int64_t filters = 3 * lanes;  // that are summed before they are stored

    const T* x;
    int64_t image, plane, pitch;  // strides
    bool copied;
    T *picture, *weights;
    int64_t *a_offset, *b_offset;
    size_t bytes;

    Plan(const Call& call, void* workspace) : Conv2d(Conv2d::forward(call)) {
        const View& v = call.view(1);
        const int64_t height = h.in + 2 * h.padding, width = w.in + 2 * w.padding;
        copied = h.padding || w.padding || (w.in > 1 && v.strides[3] != 1) || v.strides[2] < w.in || v.strides[2] > 2 * w.out;
        x = v.ptr<T>(), image = v.strides[0], plane = v.strides[1], pitch = v.strides[2];
        if (copied) image = C * height * width, plane = height * width, pitch = width;
        Arena arena(workspace);
        picture = arena.take<T>(copied ? N * image : 0);
        weights = arena.take<T>(K * terms());
        a_offset = arena.take<int64_t>(Cg * h.filter), b_offset = arena.take<int64_t>(Cg * h.filter);
        bytes = arena.used();
    }
    int64_t terms() const { return Cg * h.filter * w.filter; }
    int64_t band() const { return std::max<int64_t>(1, kBandTiles * columns / pitch); }  // output rows of a job
};

// A row of x, all channels, to planes: where channels lie side by side, squares of pixels and channels transposed in registers.
template <class T>
void copy_row(const T* from, const View& x, T* to, int64_t plane) {
    constexpr int64_t lanes = Vec<T>::width;
    const int64_t channels = x.shape[1], pixels = x.shape[3];
    if (x.strides[1] != 1 || channels < lanes) {
        for (int64_t c = 0; c < channels; c++) {
            const Row<const T> row{from + c * x.strides[1], x.strides[3]};
            for_row<T>(pixels, [&](int64_t w, int n) { store_lanes(to + c * plane + w, n, row.load(w, n)); });
        }
        return;
    }
    for (int64_t w = 0; w < pixels; w += lanes)
        for (int64_t c = 0; c < channels; c += lanes) {
            const int wide = static_cast<int>(std::min(lanes, pixels - w)), deep = static_cast<int>(std::min(lanes, channels - c));
            Vec<T> square[Vec<T>::width];
            for (int i = 0; i < lanes; i++) square[i] = load_lanes(from + (w + std::min(i, wide - 1)) * x.strides[3] + c, deep);
            transpose(square);
            for (int i = 0; i < deep; i++) store_lanes(to + (c + i) * plane + w, wide, square[i]);
        }
}

template <class T>
void prepare(const Call& call, Plan<T>& plan) {
    const View &x = call.view(1), &w = call.view(2);
    const ConvAxis &h = plan.h, &v = plan.w;
    for (int64_t t = 0; t < plan.Cg * h.filter; t++) {
        plan.a_offset[t] = t * v.filter;
        plan.b_offset[t] = t / h.filter * plan.plane + t % h.filter * h.dilation * plan.pitch;
    }
    for (int64_t k = 0; k < plan.K; k++)
        for (int64_t i = 0; i < plan.terms(); i++) {
            const int64_t c = i / v.filter / h.filter, r = i / v.filter % h.filter, s = i % v.filter;
            plan.weights[k * plan.terms() + i] =
                w.ptr<T>()[k * w.strides[0] + c * w.strides[1] + r * w.strides[2] + s * w.strides[3]];
        }
    if (!plan.copied) return;
    plan.x = plan.picture;
    const int64_t height = plan.plane / plan.pitch;
    parallel_for(plan.N * height, 1 + 8192 / plan.pitch / plan.C, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            const int64_t n = i / height, row = i % height - h.padding;
            T* const to = plan.picture + n * plan.image + i % height * plan.pitch;
            for (int64_t c = 0; c < plan.C; c++) std::fill(to + c * plan.plane, to + c * plan.plane + plan.pitch, T(0));
            if (row < 0 || row >= h.in) continue;
            copy_row(x.ptr<T>() + n * x.strides[0] + row * x.strides[2], x, to + v.padding, plan.plane);
        }
    });
}

// `width` columns of `count` filters from k on: sums to y, of which column j lies in pixel (p, q + j) or what follows it.
template <class T>
void store(const T* sums, const Plan<T>& plan, const Call& call, int64_t n, int64_t k, int64_t count, int64_t p, int64_t q,
           int64_t width) {
    constexpr int64_t lanes = Plan<T>::lanes;
    const View &y = call.view(0), &b = call.view(3);
    const bool relu = call.integer(4) == 1;
    for (int64_t f = 0; f < count; f += lanes) {
        const int some = static_cast<int>(std::min(lanes, count - f));
        Vec<T> bias = Vec<T>::zero();
        if (b.present()) bias = Row<const T>{b.ptr<T>() + (k + f) * b.strides[0], b.strides[0]}.load(0, some);
        T* const out = y.ptr<T>() + n * y.strides[0] + (k + f) * y.strides[1];
        int64_t row = p, column = q;
        for (int64_t j0 = 0; j0 < width; j0 += lanes) {
            Vec<T> pixels[Vec<T>::width];
            for (int i = 0; i < lanes; i++) pixels[i] = Vec<T>::load(sums + (f + i) * Plan<T>::columns + j0);
            transpose(pixels);
            for (int64_t j = 0; j < std::min(lanes, width - j0); j++) {
                if (column < plan.w.out) {
                    Vec<T> sum = pixels[j] + bias;
                    if (relu) sum = where<T>(sum < Vec<T>::zero(), Vec<T>::zero(), sum);  // NaN is not below zero: it stays
                    Row<T>{out + row * y.strides[2] + column * y.strides[3], y.strides[1]}.store(0, some, sum);
                }
                if (++column == plan.pitch) column = 0, row++;
            }
        }
    }
}

}  // namespace

template <class T>
void pixel_lanes_forward(const Call& call) {
    Plan<T> plan(call, call.workspace);
    if (call.view(0).size() == 0) return;
    prepare(call, plan);
    constexpr int64_t columns = Plan<T>::columns, filters = Plan<T>::filters, most = Tile<T>::rows;
    const int64_t rows = plan.band(), bands = (plan.h.out + rows - 1) / rows, terms = plan.terms();
    parallel_for(plan.N * plan.groups * bands, 1, [&](int64_t begin, int64_t end) {
        alignas(64) T sums[(filters + most) * columns] = {};
        for (int64_t i = begin; i < end; i++) {
            const int64_t n = i / bands / plan.groups, group = i / bands % plan.groups;
            const int64_t first = i % bands * rows, last = std::min(plan.h.out, first + rows) - 1;
            const int64_t past = last * plan.pitch + plan.w.out;
            const T* const x = plan.x + n * plan.image + group * plan.Cg * plan.plane;
            for (int64_t j = first * plan.pitch; j < past; j += columns) {
                const int width = static_cast<int>(std::min(columns, past - j));
                for (int64_t k0 = 0; k0 < plan.Kg; k0 += filters) {
                    const int64_t count = std::min(filters, plan.Kg - k0), k = group * plan.Kg + k0;
                    for (int64_t f = 0; f < count; f += most) {
                        const int height = static_cast<int>(std::min(most, count - f));
                        const T* a[most];
                        for (int r = 0; r < most; r++) a[r] = plan.weights + (k + f + std::min(r, height - 1)) * terms;
                        const Blocks<T> blocks{plan.Cg * plan.h.filter, plan.w.filter,  a, 0, plan.a_offset, 1, x + j,
                                               plan.b_offset,           plan.w.dilation};
                        brgemm(blocks, height, width, true, false, sums + f * columns);
                    }
                    store(sums, plan, call, n, k, count, j / plan.pitch, j % plan.pitch, width);
                }
            }
        }
    });
}

template <class T>
size_t pixel_lanes_forward_bytes(const Call& call) {
    return Plan<T>(call, nullptr).bytes;
}

template void pixel_lanes_forward<float>(const Call&);
template void pixel_lanes_forward<double>(const Call&);
template size_t pixel_lanes_forward_bytes<float>(const Call&);
template size_t pixel_lanes_forward_bytes<double>(const Call&);

namespace {

bool accepts(const Call& call) {
    const Conv2d g = Conv2d::forward(call);
    if (call.integer(4) > 1) return false;  // ReLU is the last that `store` has
    return g.Cg >= 1 && g.Cg <= kFewChannels && g.Kg <= kFewFilters && pixel_lanes_waste_little(g);
}

constexpr Kernel kernels[] = {{&kConv2dForward, "pixel_lanes", WW_ISA_NAME, kFloats,
                               by_float<pixel_lanes_forward<float>, pixel_lanes_forward<double>>, 11, accepts,
                               bytes_by_float<pixel_lanes_forward_bytes<float>, pixel_lanes_forward_bytes<double>>}};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
