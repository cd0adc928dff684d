// The kernels of every tiled variant of conv2d: a mainloop of kernels/matmul over the sources of gather.cuh.
//
// forward, backward_x   x of the grid counts tiles, y the parts (groups and lattices)
// backward_w            z of the grid cuts the long sum over pictures into slices, because a filter has few elements: each slice
//                       writes its sums to the workspace, and a second kernel adds them up in order. How many slices there are
//                       depends on the shapes alone
#pragma once

#include "kernels/conv2d/gather.cuh"

namespace ww::cuda {

template <class T>
struct ConvOperands {
    const T* read;  // x, or the gradient of y; for the gradient of w, x
    const T* filter;
    T* made;
    const T* bias;
    int64_t bias_step;
    Activation activation;
};

template <class Mainloop>
struct TileOrigin {
    int64_t row, column;
    WW_DEVICE explicit TileOrigin(int64_t rows) {
        const int64_t down = ceil_div(rows, Mainloop::rows);
        row = blockIdx.x % down * Mainloop::rows, column = blockIdx.x / down * Mainloop::columns;
    }
};
template <class Mainloop>
unsigned tile_count(int64_t rows, int64_t columns) {
    return static_cast<unsigned>(ceil_div(rows, Mainloop::rows) * ceil_div(columns, Mainloop::columns));
}
inline unsigned part_count(const Gather& p) { return static_cast<unsigned>(std::min<int64_t>(p.parts(), 65535)); }

template <class Mainloop, class T>
__global__ void __launch_bounds__(Mainloop::threads) gather_gemm(Gather p, ConvOperands<T> o) {
    SharedMemory shared;
    Mainloop mainloop(shared);
    const TileOrigin<Mainloop> origin(p.rows());
    for (int64_t index = blockIdx.y; index < p.parts(); index += gridDim.y) {
        const GatherPart part(p, index);
        mainloop.run(GatheredRows<T>{o.read, p, part, 0, p.rows()}, Filters<T>{o.filter, p, part}, origin.row, origin.column, p.k(),
                     [&](int64_t row, int64_t column, Sum<T> sum) {
                         int64_t to;
                         if (row >= p.rows() || column >= p.columns || !made_offset(p, part, static_cast<int>(row), to)) return;
                         const int64_t channel = part.group * p.columns + column;
                         if (o.bias) sum += load_value(o.bias + channel * o.bias_step);
                         store_value(o.made + to + channel * p.made.c, activate(sum, o.activation));
                     });
    }
}

template <class Mainloop, class T>
void launch_gather(const Gather& p, const ConvOperands<T>& o) {
    launch<gather_gemm<Mainloop, T>>(
        {{tile_count<Mainloop>(p.rows(), p.columns), part_count(p)}, Mainloop::threads, Mainloop::shared_bytes()}, p, o);
}

// ---- the gradient of w -----------------------------------------------------------------------------------------------------

constexpr int64_t kShortestSlice = 64, kWantedBlocks = 256;  // a slice is no shorter; two blocks for each SM of a large GPU

struct WeightSlices {
    int64_t count, length;
    explicit WeightSlices(const Gather& p) {
        const int64_t tiles = p.groups * ceil_div(p.columns, 64) * ceil_div(p.k(), 64);
        count = std::max<int64_t>(1, std::min(ceil_div(kWantedBlocks, std::max<int64_t>(1, tiles)), p.rows() / kShortestSlice));
        length = ceil_div(ceil_div(p.rows(), count), 16) * 16;
        count = std::max<int64_t>(1, ceil_div(p.rows(), length ? length : 1));
    }
};

// Where filter element (row of a group, k) lies in grad_w.
WW_DEVICE int64_t weight_offset(const Gather& p, const GatherPart& part, int64_t row, int64_t l) {
    int i, r, j, s, c;
    split_k(p, part, static_cast<int>(l), i, r, j, s, c);
    return filter_offset(p, part, static_cast<int>(row), r, s, c);
}

// partial: [slices, groups, Kg, k], or nullptr where one slice is all.
template <class Mainloop, class T>
__global__ void __launch_bounds__(Mainloop::threads)
    weight_gemm(Gather p, int64_t slice_length, const T* x, const T* grad_y, T* grad_w, Sum<T>* partial) {
    SharedMemory shared;
    Mainloop mainloop(shared);
    const TileOrigin<Mainloop> origin(p.columns);
    const int64_t first = blockIdx.z * slice_length, last = first + slice_length < p.rows() ? first + slice_length : p.rows();
    for (int64_t index = blockIdx.y; index < p.parts(); index += gridDim.y) {
        const GatherPart part(p, index);
        mainloop.run(OutputGradients<T>{grad_y, p, part, first, last}, GatheredColumns<T>{{x, p, part, first, last}}, origin.row,
                     origin.column, last - first, [&](int64_t row, int64_t column, Sum<T> sum) {
                         if (row >= p.columns || column >= p.k()) return;
                         if (partial) partial[((blockIdx.z * p.parts() + index) * p.columns + row) * p.k() + column] = sum;
                         else store_value(grad_w + weight_offset(p, part, row, column), sum);
                     });
    }
}

constexpr int kAddThreads = 256;

template <class T>
__global__ void __launch_bounds__(kAddThreads) add_slices(Gather p, int64_t slices, const Sum<T>* partial, T* grad_w) {
    const int64_t size = p.parts() * p.columns * p.k(), step = int64_t{gridDim.x} * kAddThreads;
    for (int64_t i = int64_t{blockIdx.x} * kAddThreads + threadIdx.x; i < size; i += step) {
        Sum<T> sum = 0;
        for (int64_t slice = 0; slice < slices; slice++) sum += partial[slice * size + i];
        const GatherPart part(p, i / p.k() / p.columns);
        store_value(grad_w + weight_offset(p, part, i / p.k() % p.columns, i % p.k()), sum);
    }
}

template <class T>
size_t weight_gemm_bytes(const Call& call) {
    const Gather p = Gather::backward_w(call);
    const WeightSlices slices(p);
    return slices.count == 1 ? 0 : static_cast<size_t>(slices.count * call.view(0).size()) * sizeof(Sum<T>);
}

template <class Mainloop, class T>
void launch_weights(const Call& call) {
    const Gather p = Gather::backward_w(call);
    if (call.view(0).size() == 0) return;
    const WeightSlices slices(p);
    auto* partial = slices.count > 1 ? static_cast<Sum<T>*>(call.workspace) : nullptr;
    const dim3 grid(tile_count<Mainloop>(p.columns, p.k()), part_count(p), static_cast<unsigned>(slices.count));
    launch<weight_gemm<Mainloop, T>>({grid, Mainloop::threads, Mainloop::shared_bytes()}, p, slices.length, call.view(1).ptr<T>(),
                                     call.view(2).ptr<T>(), call.view(0).ptr<T>(), partial);
    if (!partial) return;
    const auto blocks = static_cast<unsigned>(std::min<int64_t>(ceil_div(call.view(0).size(), kAddThreads), 65536));
    launch<add_slices<T>>({blocks, kAddThreads}, p, slices.count, partial, call.view(0).ptr<T>());
}

// ---- calls -----------------------------------------------------------------------------------------------------------------

template <class T>
ConvOperands<T> forward_operands(const Call& call) {
    const View& bias = call.view(3);
    return {call.view(1).ptr<T>(),
            call.view(2).ptr<T>(),
            call.view(0).ptr<T>(),
            bias.present() ? bias.ptr<T>() : nullptr,
            bias.present() ? bias.strides[0] : 0,
            static_cast<Activation>(call.integer(4))};
}
template <class T>
ConvOperands<T> backward_x_operands(const Call& call) {
    return {call.view(1).ptr<T>(), call.view(2).ptr<T>(), call.view(0).ptr<T>(), nullptr, 0, Activation::none};
}

template <class Mainloop, class T>
void gemm_forward(const Call& call) {
    if (call.view(0).size() > 0) launch_gather<Mainloop, T>(Gather::forward(call), forward_operands<T>(call));
}
template <class Mainloop, class T>
void gemm_backward_x(const Call& call) {
    if (call.view(0).size() > 0) launch_gather<Mainloop, T>(Gather::backward_x(call), backward_x_operands<T>(call));
}

// Positions, rows and k are counted in 32 bits.
inline bool fits_gather(const Conv2d& c) {
    constexpr double limit = 2147483648.0;
    auto d = [](int64_t n) { return static_cast<double>(n); };
    bool fits = true;
    for (const ConvAxis& a : {c.h, c.w}) fits &= a.in + 2 * a.padding < (int64_t{1} << 31);
    const double positions = d(c.N) * std::max(d(c.h.in) * d(c.w.in), d(c.h.out) * d(c.w.out));
    const double channels = d(std::max(c.Cg, c.Kg)), taps = d(c.h.filter) * d(c.w.filter);
    return fits && positions < limit && channels * taps < limit && d(c.groups) * channels < limit;
}
inline bool fits_forward(const Call& call) { return fits_gather(Conv2d::forward(call)); }
inline bool fits_backward_x(const Call& call) { return fits_gather(Conv2d::backward_x(call)); }
inline bool fits_backward_w(const Call& call) { return fits_gather(Conv2d::backward_w(call)); }

}  // namespace ww::cuda
