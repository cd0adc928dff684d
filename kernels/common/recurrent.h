// The recurrences of recurrent nets on the batch-reduce GEMM, as in Georganas et al. 2019 (arXiv 1906.06440), section 4.1.
//
// The recurrent weights are packed once a sequence, in panels of units; a panel holds its units' weights of all gates. A job is a
// tile of samples x one panel: forward it multiplies the states before by the gates' weights and applies the gates while the sums
// are in the first-level cache; backward it multiplies the gradients of all gates of the step after by the weights, then goes
// through the gates of its own units. All jobs of a step are parallel, also those of a single sample. A thread keeps its panels
// from step to step, in its second-level cache if they fit there (parallel_steps). What the gates read and write comes from memory,
// in pieces too short for the hardware to see them coming: a job asks for those of a gate before it multiplies.
//
// A Cell says what a gate is: kernels/{rnn,gru,lstm}/brgemm.cpp.
//
// Bound by reading the packed weights (4 bytes x gates x U^2 a step in float32) while N is below a tile, else by arithmetic.
#pragma once

#include <algorithm>

#include "engine/parallel.h"
#include "kernels/common/arena.h"
#include "kernels/common/pack.h"
#include "kernels/common/row.h"
#include "kernels/common/sequence.h"
#include "kernels/common/unroll.h"
#include "kernels/common/vector_math.h"

namespace ww::WW_ISA {
namespace recurrent {

constexpr int64_t kSerialWork = 16 * 1024;  // multiply-adds a step below which meeting costs more than another thread gives
constexpr int64_t kFewSamples = 4;

// Elements side by side: a choice of stride at every load would cost a tenth of an LSTM's step.
template <class T>
struct Line {
    T* data;
    WW_INLINE Vec<T> load(int64_t i, int n) const { return load_lanes<T>(data + i, n); }
    WW_INLINE void store(int64_t i, int n, Vec<T> v) const { store_lanes(data + i, n, v); }
};

// Whether each row of the arrays with these places in the call (the last dimension of one with a single one) can be a Line. What is
// packed or only multiplied may have any strides.
template <int... places>
bool rows_are_dense(const Call& call) {
    auto dense = [&](int place) {
        const View& v = call.view(place);
        return !call.has(place) || v.shape[v.ndim - 1] <= 1 || v.strides[v.ndim - 1] == 1;
    };
    return (dense(places) && ...);
}

template <class T>
struct Matrix {
    T* data;
    int64_t row;

    explicit Matrix(const View& v) : data(v.present() ? v.ptr<T>() : nullptr), row(v.present() ? v.strides[0] : 0) {}

    explicit operator bool() const { return data; }
    Line<T> at(int64_t i, int64_t j) const { return {data + i * row + j}; }
};

// Asks for columns [j, j + width) of a row.
template <class T>
WW_INLINE void prefetch(const Matrix<T>& m, int64_t i, int64_t j, int64_t width) {
    constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));
    const T* const from = m.data + i * m.row + j;
    for (int64_t at = 0; at < width; at += line) __builtin_prefetch(from + at, 0, 2);
    __builtin_prefetch(from + width - 1, 0, 2);
}

// The units, cut into panels of about equal numbers of vectors; into an even number of panels where the samples are so few that
// reading the weights is what takes the time.
template <class T>
struct Panels {
    static constexpr int64_t lanes = Tile<T>::lanes;
    int64_t units, vectors, count;

    Panels(int64_t u, int64_t samples)
        : units(u), vectors((u + lanes - 1) / lanes), count((vectors + Tile<T>::vectors - 1) / Tile<T>::vectors) {
        if (samples <= kFewSamples && count % 2 && count < vectors) count++;
    }
    int64_t begin(int64_t panel) const { return std::min(units, panel * vectors / count * lanes); }
    int width(int64_t panel) const { return static_cast<int>(begin(panel + 1) - begin(panel)); }
};

// The packed weights of one panel: `gates` products of `depth` terms.
template <class T>
struct Packed {
    T* data;
    int64_t gates, depth;

    T* at(int64_t panel, int64_t gate) const { return data + (panel * gates + gate) * panel_step<T>(depth); }
    static int64_t size(int64_t panels, int64_t gates, int64_t depth) { return panels * gates * panel_step<T>(depth); }
};

// tile (+)= rows[i] (k long, elements `step` apart) times a packed panel of `width` columns.
template <class T>
void multiply(const T* const* rows, int64_t step, int height, const T* panel, int64_t k, int width, bool add, T* tile) {
    const int64_t none = 0;
    brgemm(Blocks<T>{1, k, rows, 0, &none, step, panel, &none, round_to_lanes<T>(width)}, height, width, false, add, tile);
}

// body(stage, first sample, samples, panel) for each stage and job.
template <class T, class Body>
void for_stages(int64_t stages, int64_t samples, const Panels<T>& panels, int64_t depth, const Body& body) {
    constexpr int64_t rows = Tile<T>::rows;
    const int64_t tiles = (samples + rows - 1) / rows, jobs = tiles * panels.count;
    auto job_at = [&](int64_t stage, int64_t job) {
        const int64_t begin = job % tiles * rows;
        body(stage, begin, std::min(rows, samples - begin), job / tiles);
    };
    if (samples * panels.units * depth >= kSerialWork) return parallel_steps(stages, jobs, job_at);
    for (int64_t stage = 0; stage < stages; stage++)
        for (int64_t job = 0; job < jobs; job++) job_at(stage, job);
}

template <class T>
struct ForwardPlan {
    int64_t *offsets, state_row, features, chunk;
    Packed<T> packed, packed_input;
    T* states;    // after an even and an odd number of steps: each step reads one half and writes the other
    T* products;  // of the inputs of `chunk` steps, where samples are so few that these together fill a tile
    size_t bytes;

    // `features` of the inputs whose product is part of the gates; 0: it has been added already.
    ForwardPlan(void* workspace, const View& sizes, int64_t rows, int64_t samples, int64_t units, int64_t gates,
                int64_t input_features = 0)
        : state_row(round_to_lanes<T>(units) + Tile<T>::lanes),
          features(input_features),
          chunk(std::max<int64_t>(1, Tile<T>::rows / std::max<int64_t>(samples, 1))) {
        Arena arena(workspace);
        const int64_t panels = Panels<T>(units, samples).count;
        offsets = arena.take<int64_t>(Steps::offsets_of(sizes, rows, samples));
        packed_input = {arena.take<T>(features ? Packed<T>::size(panels, gates, features) : 0), gates, features};
        products = arena.take<T>(features && chunk > 1 ? panels * gates * Tile<T>::size : 0);
        packed = {arena.take<T>(Packed<T>::size(Panels<T>(units, samples).count, gates, units)), gates, units};
        states = arena.take<T>(2 * samples * state_row);
        bytes = arena.used();
    }
};

// Runs a Cell over the steps. cell.row(row, sample, row before or -1, whether the sample ends here, column) is what it reads and
// writes there, a function of (column in it, lanes, sums of the gates) that returns the state.
template <class T, class Cell>
void forward(const Cell& cell, const Steps& steps, const ForwardPlan<T>& plan, const View& hidden_view, const View& final_view,
             const View& weight, const View& initial_view, const View& input_view = {}, const View& input_weight = {}) {
    const int64_t units = weight.shape[1], samples = initial_view.shape[0];
    const Matrix<T> hidden(hidden_view), final_hidden(final_view), initial(initial_view);
    auto input = [&](int64_t row) { return input_view.ptr<T>() + row * input_view.strides[0]; };
    if (steps.count == 0)
        for (int64_t n = 0; n < samples; n++)
            for_row<T>(units,
                       [&](int64_t j, int lanes) { final_hidden.at(n, 0).store(j, lanes, initial.at(n, 0).load(j, lanes)); });
    if (steps.longest == 0 || units == 0) return;
    const Panels<T> panels(units, samples);
    auto state = [&](int64_t position, int64_t n) { return plan.states + (position % 2 * samples + n) * plan.state_row; };

    auto prepare = [&](int64_t begin, int64_t height, int64_t panel) {
        const int64_t j0 = panels.begin(panel);
        const int width = panels.width(panel);
        for (int64_t n = begin; n < begin + height; n++)
            for_row<T>(width, [&](int64_t j, int lanes) {
                const Vec<T> h = initial.at(n, j0).load(j, lanes);
                for (int half = 0; half < 2; half++) store_lanes(state(half, n) + j0 + j, lanes, h);
            });
        if (begin) return;
        auto pack_gates = [&](const Packed<T>& packed, const View& w) {
            for (int g = 0; g < Cell::gates; g++)
                pack(packed.at(panel, g), w.ptr<T>() + (g * units + j0) * w.strides[0], packed.depth, width, w.strides[1],
                     w.strides[0]);
        };
        pack_gates(plan.packed, weight);
        if (plan.features) pack_gates(plan.packed_input, input_weight);
    };
    auto products = [&](int64_t panel, int g) { return plan.products + (panel * Cell::gates + g) * Tile<T>::size; };
    // The products of the inputs of the next `chunk` steps, all samples of each.
    auto look_ahead = [&](int64_t position, int64_t panel) {
        const T* rows[Tile<T>::rows];
        const int height = static_cast<int>(plan.chunk * samples);
        for (int r = 0; r < Tile<T>::rows; r++) {
            const Step step = steps.at(position + r / samples);
            rows[r] = input(r < height && r % samples < step.size ? step.begin + r % samples : 0);
        }
        for (int g = 0; g < Cell::gates; g++)
            multiply(rows, input_view.strides[1], height, plan.packed_input.at(panel, g), plan.features, panels.width(panel), false,
                     products(panel, g));
    };
    auto advance = [&](int64_t position, int64_t begin, int64_t most, int64_t panel) {
        const Step before = steps.at(position - 1), now = steps.at(position), after = steps.at(position + 1);
        const int height = static_cast<int>(std::min(most, now.size - begin));
        if (height <= 0) return;
        const int64_t j0 = panels.begin(panel);
        const int width = panels.width(panel);
        const T* rows[Tile<T>::rows];
        for (int r = 0; r < Tile<T>::rows; r++) rows[r] = state(position, begin + std::min(r, height - 1));
        alignas(64) T sums[Cell::gates][Tile<T>::size];
        const bool here = plan.features && plan.chunk == 1, ahead = plan.features && plan.chunk > 1;
        if (ahead && position % plan.chunk == 0) look_ahead(position, panel);
        const T* inputs[Tile<T>::rows];
        for (int r = 0; here && r < Tile<T>::rows; r++) inputs[r] = input(now.begin + begin + std::min(r, height - 1));
        for (int g = 0; g < Cell::gates; g++) {
            for (int r = 0; r < height; r++) cell.prefetch(now.begin + begin + r, g, j0, width);
            if (here)
                multiply(inputs, input_view.strides[1], height, plan.packed_input.at(panel, g), plan.features, width, false,
                         sums[g]);
            multiply(rows, 1, height, plan.packed.at(panel, g), units, width, here, sums[g]);
        }
        const int64_t looked_up = position % plan.chunk * samples;
        for (int r = 0; r < height; r++) {
            const int64_t n = begin + r, row = now.begin + n;
            const bool ends = n >= after.size;
            const auto at = cell.row(row, n, n < before.size ? before.begin + n : -1, ends, j0);
            T* const next = state(position + 1, n) + j0;
            for_row<T>(width, [&](int64_t j, int lanes) {
                Vec<T> sum[Cell::gates];
                unroll<Cell::gates>([&](auto g) {
                    sum[g] = Vec<T>::load(sums[g] + r * Tile<T>::columns + j);
                    if (ahead) sum[g] = Vec<T>::load(products(panel, g) + (looked_up + r) * Tile<T>::columns + j) + sum[g];
                });
                const Vec<T> h = at(j, lanes, sum, Vec<T>::load(rows[r] + j0 + j));
                store_lanes(next + j, lanes, h);
                hidden.at(row, j0).store(j, lanes, h);
                if (ends) final_hidden.at(n, j0).store(j, lanes, h);
            });
        }
    };
    for_stages<T>(steps.count + 1, samples, panels, Cell::gates * (units + plan.features),
                  [&](int64_t stage, int64_t begin, int64_t height, int64_t panel) {
                      if (stage == 0) prepare(begin, height, panel);
                      else advance(stage - 1, begin, height, panel);
                  });
}

template <class T>
struct BackwardPlan {
    int64_t* offsets;
    Packed<T> packed;
    size_t bytes;

    BackwardPlan(void* workspace, const View& sizes, int64_t rows, int64_t samples, int64_t units, int64_t gates) {
        Arena arena(workspace);
        offsets = arena.take<int64_t>(Steps::offsets_of(sizes, rows, samples));
        packed = {arena.take<T>(Packed<T>::size(Panels<T>(units, samples).count, 1, gates * units)), 1, gates * units};
        bytes = arena.used();
    }
};

// The way back. `sent` are the gradients by the recurrent products, rows of gates, as the cell writes them. cell.row(row, sample,
// row before or -1, whether the sample ends here, column) is a function of (column in it, lanes, gradient by the state) that writes
// the gradients by its gates and, if Cell::carries, returns what goes back to the state before beside the product.
template <class T, class Cell>
void backward(const Cell& cell, const Steps& steps, const BackwardPlan<T>& plan, const View& sent_view,
              const View& grad_initial_view, const View& grad_hidden_view, const View& grad_final_view, const View& weight) {
    const int64_t units = weight.shape[1], depth = Cell::gates * units, samples = grad_initial_view.shape[0];
    const Matrix<T> sent(sent_view), grad_initial(grad_initial_view), grad_hidden(grad_hidden_view), grad_final(grad_final_view);
    if (steps.count == 0)
        for (int64_t n = 0; n < samples; n++)
            for_row<T>(units, [&](int64_t j, int lanes) {
                grad_initial.at(n, 0).store(j, lanes, grad_final ? grad_final.at(n, 0).load(j, lanes) : Vec<T>::zero());
            });
    if (steps.longest == 0 || units == 0) return;
    const Panels<T> panels(units, samples);

    auto go_back = [&](int64_t position, int64_t begin, int64_t most, int64_t panel) {
        const Step before = steps.at(position - 1), now = steps.at(position), after = steps.at(position + 1);
        const int height = static_cast<int>(std::min(most, std::max(now.size, after.size) - begin));
        const int products = static_cast<int>(std::min<int64_t>(height, after.size - begin));
        if (height <= 0) return;
        const int64_t j0 = panels.begin(panel);
        const int width = panels.width(panel);
        alignas(64) T sums[Tile<T>::size];
        for (int g = 0; products > 0 && g < Cell::gates; g++) {
            for (int64_t n = begin; n < std::min(begin + height, now.size); n++) {
                cell.prefetch(now.begin + n, g, j0, width);
                if (g == 0 && grad_hidden) prefetch(grad_hidden, now.begin + n, j0, width);
            }
            const T* rows[Tile<T>::rows];
            for (int r = 0; r < Tile<T>::rows; r++)
                rows[r] = sent.at(after.begin + begin + std::min(r, products - 1), g * units).data;
            multiply(rows, 1, products, plan.packed.at(panel, 0) + g * units * round_to_lanes<T>(width), units, width, g > 0, sums);
        }
        for (int r = 0; r < height; r++) {
            const int64_t n = begin + r, row = now.begin + n;
            const bool ends = r >= products;
            const Line<T> carried = grad_initial.at(n, j0);
            auto incoming = [&](int64_t j, int lanes) {
                if (ends) return grad_final ? grad_final.at(n, j0).load(j, lanes) : Vec<T>::zero();
                const Vec<T> h = Vec<T>::load(sums + r * Tile<T>::columns + j);
                return Cell::carries ? h + carried.load(j, lanes) : h;
            };
            if (n >= now.size) {
                for_row<T>(width, [&](int64_t j, int lanes) { carried.store(j, lanes, incoming(j, lanes)); });
                continue;
            }
            const auto at = cell.row(row, n, n < before.size ? before.begin + n : -1, ends, j0);
            for_row<T>(width, [&](int64_t j, int lanes) {
                Vec<T> h = incoming(j, lanes);
                if (grad_hidden) h = grad_hidden.at(row, j0).load(j, lanes) + h;
                if constexpr (Cell::carries) carried.store(j, lanes, at(j, lanes, h));
                else at(j, lanes, h);
            });
        }
    };
    // Stage 0 packs; then the steps from the last to the first, and what is before the first.
    for_stages<T>(steps.count + 2, samples, panels, depth, [&](int64_t stage, int64_t begin, int64_t height, int64_t panel) {
        if (stage > 0) return go_back(steps.count - stage, begin, height, panel);
        if (begin == 0)
            pack(plan.packed.at(panel, 0), weight.ptr<T>() + panels.begin(panel) * weight.strides[1], depth, panels.width(panel),
                 weight.strides[0], weight.strides[1]);
    });
}

}  // namespace recurrent
}  // namespace ww::WW_ISA
