// The fourth rung for convolution: implicit GEMM on tensor cores. bfloat16 and float16 operands with float32 sums ("mma"), and
// float32 operands rounded to tf32 ("mma_tf32"), which nobody gets without asking. The mainloop is kernels/matmul/mma_mainloop.cuh.
//
// Channels-last pictures and filters whose channels come in whole runs of 16 bytes are read by such runs; all others, among them
// the first layer with its 3 channels, element by element. The gradient of w sums over pictures, along which nothing lies side by
// side in channels-last memory: 16-bit operands are read by runs of channels and transposed by ldmatrix, and tf32, for which there
// is no such ldmatrix, element by element.
//
// A file for each type, so that their compilation, by far the longest of all with nvcc, is spread over CPUs: mma.cu (bfloat16, and
// the kernels' registration), mma_half.cu, mma_tf32.cu.
#pragma once

#include "kernels/matmul/mma_mainloop.cuh"
#include "kernels/conv2d/implicit_gemm.cuh"

namespace ww::cuda {

using SmallTile = MmaTile<64, 64, 32, 32>;
using LargeTile = MmaTile<128, 128, 64, 32>;
constexpr int64_t kLargeOutputs = 128 * 128 * 64;  // from which large tiles are taken: a guess that no GPU has measured

template <class T>
constexpr int64_t kRun = kChunk / static_cast<int64_t>(sizeof(T));

template <class T>
bool aligned(const T* data) {
    return reinterpret_cast<uintptr_t>(data) % kChunk == 0;
}

// May gathered rows be read by runs of 16 bytes along their channels?
template <class T>
bool rows_by_runs(const Gather& p, const T* read) {
    return aligned(read) && p.read.c == 1 && p.channels % kRun<T> == 0 && p.read.n % kRun<T> == 0 && p.read.h % kRun<T> == 0 &&
           p.read.w % kRun<T> == 0;
}
template <class T>
bool filters_by_runs(const Gather& p, const T* filter) {
    bool steps = true;
    for (int64_t step : {p.filter_column, p.filter_r, p.filter_s, p.filter_group}) steps &= step % kRun<T> == 0;
    return aligned(filter) && p.filter_channel == 1 && p.channels % kRun<T> == 0 && steps;
}

template <class T, Access rows, Access filters>
using Small = MmaMainloop<T, SmallTile, rows, filters>;

template <class T>
void launch_mma(const Gather& p, const ConvOperands<T>& o) {
    constexpr Access run = Access::k_vector, single = Access::scalar;
    const bool rows = rows_by_runs(p, o.read), filters = filters_by_runs(p, o.filter);
    if (rows && filters && p.rows() * p.columns >= kLargeOutputs)
        return launch_gather<MmaMainloop<T, LargeTile, run, run>, T>(p, o);
    if (rows && filters) return launch_gather<Small<T, run, run>, T>(p, o);
    if (rows) return launch_gather<Small<T, run, single>, T>(p, o);
    if constexpr (sizeof(T) == 4)  // a channels-last filter over another picture: for 16 bits not worth its compilation
        if (filters) return launch_gather<Small<T, single, run>, T>(p, o);
    launch_gather<Small<T, single, single>, T>(p, o);
}

template <class T>
void mma_forward(const Call& call) {
    if (call.view(0).size() > 0) launch_mma<T>(Gather::forward(call), forward_operands<T>(call));
}
template <class T>
void mma_backward_x(const Call& call) {
    if (call.view(0).size() > 0) launch_mma<T>(Gather::backward_x(call), backward_x_operands<T>(call));
}

// May the gradient of y be read by runs of 16 bytes along the outputs of a group?
template <class T>
bool outputs_by_runs(const Gather& p, const T* grad_y) {
    return aligned(grad_y) && p.made.c == 1 && p.columns % kRun<T> == 0 && p.made.n % kRun<T> == 0 && p.made.h % kRun<T> == 0 &&
           p.made.w % kRun<T> == 0;
}
template <class T>
void mma_backward_w(const Call& call) {
    if constexpr (sizeof(T) == 2) {
        const Gather p = Gather::backward_w(call);
        if (rows_by_runs(p, call.view(1).ptr<T>()) && outputs_by_runs(p, call.view(2).ptr<T>()))
            return launch_weights<Small<T, Access::row_vector, Access::row_vector>, T>(call);
    }
    launch_weights<Small<T, Access::scalar, Access::scalar>, T>(call);
}

}  // namespace ww::cuda
