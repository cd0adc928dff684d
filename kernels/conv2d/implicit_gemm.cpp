// Convolution and its gradient to the input as sums over taps on the batch-reduce GEMM microkernel; tap_sum.h says how.
//
// forward: the lattice is the output picture, the taps are (r, s), the summed channels are those of x.
// backward_x: input positions of one phase, h mod stride, are reached by the same taps, so each phase is a lattice of its own whose
// summed channels are those of grad_y. With stride 1 there is one phase: the convolution of grad_y with the flipped filters.
//
// Weights are packed once a call. An input whose channels do not lie side by side is first brought into channels-last order in the
// workspace: nothing against the arithmetic, as each element is then used K / groups times R x S.
#include "kernels/common/arena.h"
#include "kernels/conv2d/parts.h"
#include "kernels/conv2d/lattice.h"
#include "kernels/conv2d/tap_sum.h"

namespace ww::WW_ISA {
namespace {

constexpr int64_t kFewChannels = 16;  // up to here a tap covers a whole row of the filter

template <class T>
struct Workspace {
    T* picture;
    T* weights;
    T* zeros;
    int64_t *tap_h, *tap_w, *tap_offset;
    const T** pointers;
    int32_t* kept;
    T* patches;
    size_t bytes;

    // `slots`: jobs at a time; where memory is given, as many as fit.
    Workspace(void* base, const View& in, const Picture<T>& layout, const TapSum<T>& largest, int64_t pointers_each,
              int64_t kept_each, int64_t patch_each, int64_t slots) {
        Arena arena(base);
        picture = arena.take<T>(layout.copied ? in.size() : 0);
        weights = arena.take<T>(largest.groups * largest.weights_step());
        zeros = arena.take<T>(largest.channels);
        tap_h = arena.take<int64_t>(largest.taps), tap_w = arena.take<int64_t>(largest.taps);
        tap_offset = arena.take<int64_t>(largest.taps);
        pointers = arena.take<const T*>(pointers_each * slots);
        kept = arena.take<int32_t>(kept_each * slots);
        patches = arena.take<T>(patch_each * slots);
        bytes = arena.used();
    }
};

// ---- forward ---------------------------------------------------------------------------------------------------------------

template <class T>
TapSum<T> forward_sum(const Call& call, const Conv2d& g, const Picture<T>& layout) {
    const View &y = call.view(0), &b = call.view(3);
    TapSum<T> s{};
    bool runs = g.groups == 1 && g.C <= kFewChannels && g.w.dilation == 1 && g.w.filter > 1 && layout.w == g.C;
    s.in_n = layout.n, s.in_h = layout.h, s.in_w = layout.w, s.height = g.h.in, s.width = g.w.in;
    s.run = runs ? g.w.filter : 1;
    s.channels = s.run * g.Cg;
    s.taps = g.h.filter * g.w.filter / s.run;
    s.step_h = g.h.stride, s.step_w = g.w.stride;
    s.out = y.ptr<T>(), s.out_n = y.strides[0], s.out_channel = y.strides[1], s.out_h = y.strides[2], s.out_w = y.strides[3];
    s.n = g.N, s.rows = g.h.out, s.columns = g.w.out, s.groups = g.groups, s.outputs = g.Kg;
    s.epilogue = {b.present() ? b.ptr<T>() : nullptr, 0, b.present() ? b.strides[0] : 0, static_cast<Activation>(call.integer(4))};
    return s;
}

// Room for fewer jobs than there are threads, should their number have changed since the workspace was measured.
template <class T>
int64_t fitting_slots(const TapJobs<T>& jobs, size_t have, size_t need) {
    return have >= need ? jobs.slots : 1;
}

}  // namespace

template <class T>
size_t implicit_gemm_forward_bytes(const Call& call) {
    const View& x = call.view(1);
    Conv2d g = Conv2d::forward(call);
    Picture<T> layout(x);
    TapSum<T> s = forward_sum<T>(call, g, layout);
    TapJobs<T> jobs(s, num_threads());
    return Workspace<T>(nullptr, x, layout, s, jobs.pointers, jobs.kept, jobs.patch, jobs.slots).bytes;
}

template <class T>
void implicit_gemm_forward(const Call& call) {
    const View &x = call.view(1), &w = call.view(2);
    Conv2d g = Conv2d::forward(call);
    Picture<T> layout(x);
    TapSum<T> s = forward_sum<T>(call, g, layout);
    if (s.pixels() * g.K == 0) return;
    TapJobs<T> jobs(s, num_threads());
    size_t need = Workspace<T>(nullptr, x, layout, s, jobs.pointers, jobs.kept, jobs.patch, jobs.slots).bytes;
    int64_t slots = fitting_slots(jobs, call.workspace_bytes, need);
    Workspace<T> space(call.workspace, x, layout, s, jobs.pointers, jobs.kept, jobs.patch, slots);

    if (layout.copied) to_channels_last(x, space.picture);
    s.in = layout.copied ? space.picture : x.ptr<T>();
    std::fill(space.zeros, space.zeros + s.channels, T(0));
    for (int64_t t = 0; t < s.taps; t++) {
        int64_t r = t * s.run / g.w.filter, first = t * s.run % g.w.filter;
        space.tap_h[t] = g.h.input(0, r), space.tap_w[t] = g.w.input(0, first);
        space.tap_offset[t] = r * w.strides[2] + first * w.strides[3];
    }
    s.tap_h = space.tap_h, s.tap_w = space.tap_w, s.zeros = space.zeros;
    s.finite = pack_weights(
        s,
        {w.ptr<T>(), g.Kg * w.strides[0], w.strides[0], w.strides[1], w.strides[3], std::max<int64_t>(1, g.Cg), space.tap_offset},
        space.weights);
    s.weights = space.weights;
    run_tap_sum(s, jobs, slots, space.pointers, space.kept, space.patches);
}

template void implicit_gemm_forward<float>(const Call&);
template void implicit_gemm_forward<double>(const Call&);
template size_t implicit_gemm_forward_bytes<float>(const Call&);
template size_t implicit_gemm_forward_bytes<double>(const Call&);

namespace {

// ---- backward_x ------------------------------------------------------------------------------------------------------------

// The sum of one phase, but for addresses in the workspace.
template <class T>
TapSum<T> backward_sum(const Call& call, const Conv2d& g, const Picture<T>& layout, int64_t phase_h, int64_t phase_w) {
    const View& grad_x = call.view(0);
    Phase h = Phase::of(g.h, phase_h), w = Phase::of(g.w, phase_w);
    TapSum<T> s{};
    s.in_n = layout.n, s.in_h = layout.h, s.in_w = layout.w, s.height = g.h.out, s.width = g.w.out;
    s.run = 1, s.channels = g.Kg, s.taps = h.taps * w.taps;
    s.step_h = s.step_w = 1;
    s.out = grad_x.ptr<T>() + phase_h * grad_x.strides[2] + phase_w * grad_x.strides[3];
    s.out_n = grad_x.strides[0], s.out_channel = grad_x.strides[1];
    s.out_h = grad_x.strides[2] * g.h.stride, s.out_w = grad_x.strides[3] * g.w.stride;
    s.n = g.N, s.rows = h.positions, s.columns = w.positions, s.groups = g.groups, s.outputs = g.Cg;
    s.epilogue = {nullptr, 0, 0, Activation::none};
    return s;
}

// A sum as large as that of the largest phase, for measuring the workspace: what depends on taps and pixels grows with them.
template <class T>
TapSum<T> largest_sum(const Call& call, const Conv2d& g, const Picture<T>& layout) {
    TapSum<T> s = backward_sum<T>(call, g, layout, 0, 0);
    for (int64_t a = 0; a < std::min(g.h.stride, g.h.in); a++)
        for (int64_t b = 0; b < std::min(g.w.stride, g.w.in); b++)
            s.taps = std::max(s.taps, Phase::of(g.h, a).taps * Phase::of(g.w, b).taps);
    return s;
}

// Room for the row pointers of one job of any phase: they shrink with the number of taps, down to one tile's.
template <class T>
int64_t largest_pointers(const TapSum<T>& largest) {
    int64_t tile = std::max<int64_t>(1, largest.taps) * Tile<T>::rows;
    return std::max<int64_t>(tile, kTableBytes / static_cast<int64_t>(sizeof(T*)));
}

template <class T>
int64_t largest_kept(const TapSum<T>& largest) {
    return largest_pointers(largest) / Tile<T>::rows;
}

}  // namespace

template <class T>
size_t implicit_gemm_backward_x_bytes(const Call& call) {
    const View& grad_y = call.view(1);
    Conv2d g = Conv2d::backward_x(call);
    Picture<T> layout(grad_y);
    TapSum<T> s = largest_sum<T>(call, g, layout);
    return Workspace<T>(nullptr, grad_y, layout, s, largest_pointers(s), largest_kept(s), 0, num_threads()).bytes;
}

template <class T>
void implicit_gemm_backward_x(const Call& call) {
    const View &grad_x = call.view(0), &grad_y = call.view(1), &w = call.view(2);
    Conv2d g = Conv2d::backward_x(call);
    if (grad_x.size() == 0) return;
    Picture<T> layout(grad_y);
    TapSum<T> largest = largest_sum<T>(call, g, layout);
    int64_t room = largest_pointers(largest), slots = num_threads();
    if (call.workspace_bytes < Workspace<T>(nullptr, grad_y, layout, largest, room, largest_kept(largest), 0, slots).bytes)
        slots = 1;
    Workspace<T> space(call.workspace, grad_y, layout, largest, room, largest_kept(largest), 0, slots);

    if (layout.copied) to_channels_last(grad_y, space.picture);
    std::fill(space.zeros, space.zeros + g.Kg, T(0));
    for (int64_t a = 0; a < std::min(g.h.stride, g.h.in); a++)
        for (int64_t b = 0; b < std::min(g.w.stride, g.w.in); b++) {
            Phase h = Phase::of(g.h, a), v = Phase::of(g.w, b);
            TapSum<T> s = backward_sum<T>(call, g, layout, a, b);
            for (int64_t i = 0; i < h.taps; i++)
                for (int64_t j = 0; j < v.taps; j++) {
                    int64_t t = i * v.taps + j;
                    space.tap_h[t] = h.output(g.h, a, i), space.tap_w[t] = v.output(g.w, b, j);
                    space.tap_offset[t] = h.tap(i) * w.strides[2] + v.tap(j) * w.strides[3];
                }
            s.in = layout.copied ? space.picture : grad_y.ptr<T>();
            s.tap_h = space.tap_h, s.tap_w = space.tap_w, s.zeros = space.zeros;
            s.finite = pack_weights(
                s, {w.ptr<T>(), g.Kg * w.strides[0], w.strides[1], w.strides[0], 0, std::max<int64_t>(1, g.Kg), space.tap_offset},
                space.weights);
            s.weights = space.weights;
            TapJobs<T> jobs(s, static_cast<int>(slots));
            run_tap_sum(s, jobs, std::min(jobs.slots, slots), space.pointers, space.kept, space.patches);
        }
}

template void implicit_gemm_backward_x<float>(const Call&);
template void implicit_gemm_backward_x<double>(const Call&);
template size_t implicit_gemm_backward_x_bytes<float>(const Call&);
template size_t implicit_gemm_backward_x_bytes<double>(const Call&);

namespace {

constexpr Kernel kernels[] = {
    {&kConv2dForward, "implicit_gemm", WW_ISA_NAME, kFloats, by_float<implicit_gemm_forward<float>, implicit_gemm_forward<double>>,
     10, nullptr, bytes_by_float<implicit_gemm_forward_bytes<float>, implicit_gemm_forward_bytes<double>>},
    {&kConv2dBackwardX, "implicit_gemm", WW_ISA_NAME, kFloats,
     by_float<implicit_gemm_backward_x<float>, implicit_gemm_backward_x<double>>, 10, nullptr,
     bytes_by_float<implicit_gemm_backward_x_bytes<float>, implicit_gemm_backward_x_bytes<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
