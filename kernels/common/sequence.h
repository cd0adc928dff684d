// The steps of a batch of sequences, as recurrent nets walk over them.
//
// Samples are in the order of their lengths, the longest first, so step t holds samples [0, size(t)) and its rows follow those of
// step t - 1: no row is spent on a sample that has ended (PyTorch's PackedSequence). Positions count in the order of the walk:
// position p is step p, or from the last step on where `reverse` is set; a sample then begins in the middle of the walk instead of
// ending there. Positions outside the walk are empty steps, which makes the ends of every sample one rule:
//
//   the sample at row n of position p begins there if n >= at(p - 1).size, and ends there if n >= at(p + 1).size
#pragma once

#include <cstdint>

#include "engine/registry.h"

namespace ww {

struct Step {
    int64_t begin, size;  // rows [begin, begin + size), one for each of the samples [0, size)
};

class Steps {
  public:
    int64_t count;    // steps
    int64_t longest;  // samples of the fullest step

    // `offsets` has room for offsets_of(...) integers. Without sizes each step holds all samples.
    Steps(const View& sizes, int64_t rows, int64_t samples, bool reverse, int64_t* offsets)
        : count(steps(sizes, rows, samples)), longest(count ? samples : 0), reverse_(reverse), offsets_(offsets) {
        int64_t row = 0;
        for (int64_t t = 0; t < count; t++) {
            offsets[t] = row;
            row += sizes.present() ? sizes.ptr<int64_t>()[t * sizes.strides[0]] : samples;
        }
        offsets[count] = row;
    }
    static int64_t steps(const View& sizes, int64_t rows, int64_t samples) {
        return sizes.present() ? sizes.shape[0] : samples ? rows / samples : 0;
    }
    static int64_t offsets_of(const View& sizes, int64_t rows, int64_t samples) { return steps(sizes, rows, samples) + 1; }

    Step at(int64_t position) const {
        if (position < 0 || position >= count) return {0, 0};
        int64_t t = reverse_ ? count - 1 - position : position;
        return {offsets_[t], offsets_[t + 1] - offsets_[t]};
    }

  private:
    bool reverse_;
    const int64_t* offsets_;
};

namespace recurrent {

template <class T>
T& element(const View& v, int64_t i, int64_t j) {
    return v.ptr<T>()[i * v.strides[0] + j * v.strides[1]];
}

// Workspace of the first rungs, which need no more than the steps.
template <int sizes_view, int samples_view>
size_t steps_bytes(const Call& call) {
    int64_t rows = call.view(0).shape[0], samples = call.view(samples_view).shape[0];
    return static_cast<size_t>(Steps::offsets_of(call.view(sizes_view), rows, samples)) * sizeof(int64_t);
}

// For the contracts: `gates` times the units, and sizes that describe the rows.
inline void check_gates(const Call& call, int view, int units_view, int gates) {
    int64_t have = call.view(view).shape[1], u = call.view(units_view).shape[1];
    if (have != gates * u)
        fail<ShapeError>("%s: expected %d x %lld columns of gates for %lld units, got %lld", call.op, gates,
                         static_cast<long long>(u), static_cast<long long>(u), static_cast<long long>(have));
}

inline void check_sizes(const Call& call, int sizes_view, int rows_view, int samples_view) {
    const View& sizes = call.view(sizes_view);
    auto rows = static_cast<long long>(call.view(rows_view).shape[0]);
    auto samples = static_cast<long long>(call.view(samples_view).shape[0]);
    if (!sizes.present()) {
        if (samples ? rows % samples : rows)
            fail<ShapeError>("%s: expected a multiple of %lld rows (samples), got %lld", call.op, samples, rows);
        return;
    }
    long long sum = 0, before = samples;
    for (int64_t t = 0; t < sizes.shape[0]; t++) {
        long long size = sizes.ptr<int64_t>()[t * sizes.strides[0]];
        if (t == 0 ? size != samples : size < 1 || size > before)
            fail<ShapeError>(
                "%s: expected batch_sizes that begin with %lld (samples) and do not grow or end in 0, got %lld after %lld", call.op,
                samples, size, before);
        sum += before = size;
    }
    if (sum != rows) fail<ShapeError>("%s: expected batch_sizes that add up to %lld rows, got %lld", call.op, rows, sum);
}

}  // namespace recurrent
}  // namespace ww
