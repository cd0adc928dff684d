// What the pooling kernels on CUDA share: one thread for each element of the output, of any strides, in C order.
#pragma once

#include <algorithm>

#include "engine/cuda/device.cuh"
#include "kernels/pool2d/pool2d.h"

namespace ww::cuda {

constexpr int kPoolThreads = 256;

// An array [N, C, H, W] by element steps.
template <class T>
struct Planes {
    T* data;
    int64_t shape[4], step[4];

    explicit Planes(const View& v) : data(v.ptr<T>()) {
        for (int d = 0; d < 4; d++) shape[d] = v.shape[d], step[d] = v.strides[d];
    }
    WW_HOST_DEVICE int64_t size() const { return shape[0] * shape[1] * shape[2] * shape[3]; }
    WW_DEVICE T* plane(int64_t n, int64_t c) const { return data + n * step[0] + c * step[1]; }
    WW_DEVICE T& at(int64_t n, int64_t c, int64_t h, int64_t w) const { return plane(n, c)[h * step[2] + w * step[3]]; }
};

// Calls body(n, c, h, w) for each element of an array of this shape, shared out over the grid.
template <class T, class Body>
WW_DEVICE void for_each_place(const Planes<T>& of, const Body& body) {
    const int64_t step = int64_t{gridDim.x} * kPoolThreads;
    for (int64_t i = int64_t{blockIdx.x} * kPoolThreads + threadIdx.x; i < of.size(); i += step) {
        const int64_t line = i / of.shape[3], plane = line / of.shape[2];
        body(plane / of.shape[1], plane % of.shape[1], line % of.shape[2], i % of.shape[3]);
    }
}

template <class T>
LaunchConfig place_grid(const Planes<T>& of) {
    return {static_cast<unsigned>(std::min<int64_t>(ceil_div(of.size(), kPoolThreads), 65536)), kPoolThreads};
}

}  // namespace ww::cuda
