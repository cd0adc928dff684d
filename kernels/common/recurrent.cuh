// What the CUDA kernels of recurrent nets share: the walk over the steps, a launch for each, the product that a step begins with in
// both directions, and the states of a walk without steps.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/common/product_tile.cuh"
#include "kernels/common/sequence.h"
#include "kernels/common/view_element.cuh"

namespace ww::cuda {

// The steps of a call. They are counted on the host, in whose memory batch_sizes lies whatever the device.
class Walk {
  public:
    Walk(const View& sizes, int64_t rows, int64_t samples, bool reverse)
        : offsets_(static_cast<size_t>(Steps::offsets_of(sizes, rows, samples))),
          steps_(sizes, rows, samples, reverse, offsets_.data()),
          samples_(samples) {}
    Walk(const Walk&) = delete;

    // step(before, now, after) from the first position to the last.
    template <class F>
    void forward(const F& step) const {
        for (int64_t p = 0; p < steps_.count; p++) step(steps_.at(p - 1), steps_.at(p), steps_.at(p + 1));
    }
    // step(before, now, after, samples) from the last position to the one before the first, where what the samples that begin
    // send back is the gradient of the initial states; without steps, that of all is what was sent to the final states.
    template <class F>
    void backward(const F& step) const {
        for (int64_t p = steps_.count - 1; p >= -1; p--) {
            const Step now = steps_.at(p), after = steps_.at(p + 1);
            step(steps_.at(p - 1), now, after, steps_.count ? std::max(now.size, after.size) : samples_);
        }
    }
    bool has_steps() const { return steps_.count > 0; }

  private:
    std::vector<int64_t> offsets_;
    Steps steps_;
    int64_t samples_;
};

// A launch a step of kernel(arrays, before, now, after), with a block for each 16 samples x 16 units.
template <auto kernel, class Arrays>
void launch_steps(const Walk& walk, int64_t units, size_t shared_bytes, const Arrays& arrays) {
    walk.forward([&](Step before, Step now, Step after) {
        launch<kernel>({product_grid(now.size, units), kProductThreads, shared_bytes}, arrays, before, now, after);
    });
}

// The way back: kernel(arrays, before, now, after, samples).
template <auto kernel, class Arrays>
void launch_steps_back(const Walk& walk, int64_t units, size_t shared_bytes, const Arrays& arrays) {
    walk.backward([&](Step before, Step now, Step after, int64_t samples) {
        launch<kernel>({product_grid(samples, units), kProductThreads, shared_bytes}, arrays, before, now, after, samples);
    });
}

// The state of sample n before a step: what the step before left, or the initial one of a sample that begins.
template <class T>
WW_DEVICE T state_before(const View& states, const View& initial, Step before, int64_t n, int64_t u) {
    return n < before.size ? element<T>(states, before.begin + n, u) : element<T>(initial, n, u);
}

// The states before a step times the recurrent weights [parts U, U], for this thread's sample and unit.
template <class T, int parts>
struct StateProduct {
    static constexpr size_t kSharedBytes = ProductTile<T, parts>::kSharedBytes;
    int64_t n, u;
    T sums[parts] = {};

    WW_DEVICE StateProduct(const View& states, const View& initial, const View& weight, Step before, Step now) {
        SharedMemory shared;
        const ProductTile<T, parts> tile(shared);
        const int64_t units = weight.shape[1], n0 = int64_t{blockIdx.x} * kProductTile, u0 = int64_t{blockIdx.y} * kProductTile;
        tile.add(
            sums, units,
            [&](int row, int64_t l) { return n0 + row < now.size ? state_before<T>(states, initial, before, n0 + row, l) : T(0); },
            [&](int part, int column, int64_t l) {
                return u0 + column < units ? element<T>(weight, part * units + u0 + column, l) : T(0);
            });
        n = n0 + tile.row();
        u = u0 + tile.column();
    }
};

// What the gates of the step after send back through the recurrent weights [parts U, U], for this thread's sample and unit.
template <class T>
struct SentProduct {
    static constexpr size_t kSharedBytes = ProductTile<T, 1, Nearest::column>::kSharedBytes;
    int64_t n, u;
    T sum;

    WW_DEVICE SentProduct(const View& sent, const View& weight, Step after) {
        SharedMemory shared;
        const ProductTile<T, 1, Nearest::column> tile(shared);
        const int64_t n0 = int64_t{blockIdx.x} * kProductTile, u0 = int64_t{blockIdx.y} * kProductTile;
        T sums[1] = {};
        if (n0 < after.size)
            tile.add(
                sums, weight.shape[0],
                [&](int row, int64_t l) { return n0 + row < after.size ? element<T>(sent, after.begin + n0 + row, l) : T(0); },
                [&](int, int column, int64_t l) {
                    return u0 + column < weight.shape[1] ? element<T>(weight, l, u0 + column) : T(0);
                });
        n = n0 + tile.row();
        u = u0 + tile.column();
        sum = sums[0];
    }
};

constexpr int kStateThreads = 256;

template <class T>
__global__ void __launch_bounds__(kStateThreads) copy_state(View to, View from) {
    const int64_t size = to.shape[0] * to.shape[1], step = int64_t{gridDim.x} * kStateThreads;
    for (int64_t i = int64_t{blockIdx.x} * kStateThreads + threadIdx.x; i < size; i += step)
        element<T>(to, i / to.shape[1], i % to.shape[1]) = element<T>(from, i / to.shape[1], i % to.shape[1]);
}

// Without steps the final state is the initial one.
template <class T>
void keep_state(const View& to, const View& from) {
    const int64_t size = to.size();
    if (size)
        launch<copy_state<T>>({static_cast<unsigned>(std::min<int64_t>(ceil_div(size, kStateThreads), 4096)), kStateThreads}, to,
                              from);
}

}  // namespace ww::cuda
