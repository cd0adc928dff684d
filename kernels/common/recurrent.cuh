// What the CUDA kernels of recurrent nets share: the walk over the steps, and the states of a walk without steps.
#pragma once

#include <algorithm>
#include <vector>

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
