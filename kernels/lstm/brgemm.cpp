// The recurrence on the batch-reduce GEMM (kernels/common/brgemm.h), as in Georganas et al. 2019, section 4.1.
//
// The recurrent weights are packed once a sequence. A job is a register tile of samples x units: forward it multiplies the states
// before by the four gates' weights and applies the gates while the four tiles are in the first-level cache; backward it
// multiplies the gradients of all gates of the step after by the weights, then goes through the gates of its own units. All jobs
// of a step are parallel, also those of a single sample; between steps the threads meet.
//
// Bound by reading the packed weights (16 U^2 bytes a step in float32) while N is below a tile, else by arithmetic.
#include "engine/parallel.h"
#include "kernels/common/pack.h"
#include "kernels/common/row.h"
#include "kernels/common/vector_math.h"
#include "kernels/lstm/lstm.h"

namespace ww::WW_ISA {
namespace {

constexpr int64_t kSerialWork = 32 * 1024;  // multiply-adds below which waking a thread costs more than it gives

// A matrix or a step of a sequence: row i begins at data + i * row.
template <class T>
struct Matrix {
    T* data;
    int64_t row, column;

    Row<T> at(int64_t i, int64_t j) const { return {data + i * row + j * column, column}; }
};
template <class T>
Matrix<T> matrix(const View& v) {
    return {v.ptr<T>(), v.strides[0], v.strides[1]};
}
template <class T>
Matrix<T> step_of(const View& v, int64_t t) {
    return {v.ptr<T>() + t * v.strides[0], v.strides[1], v.strides[2]};
}

// tile = rows [i0, i0 + height) of a, k long, times a packed panel.
template <class T>
void multiply(const Matrix<T>& a, int64_t i0, int height, const T* panel, int64_t k, int width, int64_t b_stride, T* tile) {
    const T* rows[Tile<T>::rows];
    for (int r = 0; r < Tile<T>::rows; r++) rows[r] = a.data + (i0 + std::min(r, height - 1)) * a.row;
    const int64_t none = 0;
    brgemm(Blocks<T>{1, k, rows, 0, &none, a.column, panel, &none, b_stride}, height, width, false, false, tile);
}

// body(i0, height, j0, width) for every tile of samples x units. Neighbours in time share a panel of weights.
template <class Body, class T = typename Body::Type>
void for_tiles(int64_t samples, int64_t units, int64_t depth, const Body& body) {
    constexpr int64_t rows = Tile<T>::rows, columns = Tile<T>::columns;
    int64_t row_tiles = (samples + rows - 1) / rows, panels = (units + columns - 1) / columns;
    int64_t work = std::min(samples, rows) * std::min(units, columns) * std::max<int64_t>(depth, 1);
    parallel_for(
        row_tiles * panels, std::max<int64_t>(1, kSerialWork / std::max<int64_t>(work, 1)), [&](int64_t begin, int64_t end) {
            for (int64_t job = begin; job < end; job++) {
                int64_t i0 = job % row_tiles * rows, j0 = job / row_tiles * columns;
                body(i0, static_cast<int>(std::min(rows, samples - i0)), j0, static_cast<int>(std::min(columns, units - j0)));
            }
        });
}

template <class T>
struct Forward {
    using Type = T;
    int64_t units, gate_step;  // elements from one gate's packed weights to the next
    const T* packed;
    Matrix<T> hidden_before, cell_before, hidden, cell, gates, projected;

    void operator()(int64_t i0, int height, int64_t j0, int width) const {
        alignas(64) T tile[4][Tile<T>::size];
        const T* panel = packed + j0 / Tile<T>::columns * panel_step<T>(units);
        int64_t b_stride = panel_width<T>(units, j0);
        for (int g = 0; g < 4; g++) multiply(hidden_before, i0, height, panel + g * gate_step, units, width, b_stride, tile[g]);
        for (int r = 0; r < height; r++)
            for_row<T>(width, [&](int64_t j, int n) {
                auto sum = [&](int g) {
                    return projected.at(i0 + r, g * units + j0).load(j, n) + Vec<T>::load(tile[g] + r * Tile<T>::columns + j);
                };
                Vec<T> i = sigmoid(sum(0)), f = sigmoid(sum(1)), g = tanh(sum(2)), o = sigmoid(sum(3));
                Vec<T> c = f * cell_before.at(i0 + r, j0).load(j, n) + i * g;
                auto keep = [&](int at, Vec<T> v) { gates.at(i0 + r, at * units + j0).store(j, n, v); };
                keep(0, i), keep(1, f), keep(2, g), keep(3, o);
                cell.at(i0 + r, j0).store(j, n, c);
                hidden.at(i0 + r, j0).store(j, n, o * tanh(c));
            });
    }
};

template <class T>
void forward(const Call& call) {
    const View &hidden = call.view(0), &cell = call.view(1), &gates = call.view(2), &projected = call.view(3),
               &weight = call.view(4);
    int64_t steps = hidden.shape[0], samples = hidden.shape[1], units = hidden.shape[2];
    if (steps * samples * units == 0) return;
    auto* packed = static_cast<T*>(call.workspace);
    int64_t gate_step = packed_size<T>(units, units);
    parallel_for(4, 1, [&](int64_t begin, int64_t end) {
        for (int64_t g = begin; g < end; g++)
            pack(packed + g * gate_step, weight.ptr<T>() + g * units * weight.strides[0], units, units, weight.strides[1],
                 weight.strides[0]);
    });
    for (int64_t t = 0; t < steps; t++)
        for_tiles(samples, units, 4 * units,
                  Forward<T>{units, gate_step, packed, t ? step_of<T>(hidden, t - 1) : matrix<T>(call.view(5)),
                             t ? step_of<T>(cell, t - 1) : matrix<T>(call.view(6)), step_of<T>(hidden, t), step_of<T>(cell, t),
                             step_of<T>(gates, t), step_of<T>(projected, t)});
}

// What a step sends back to the hidden state before it, and that step's own gates where there is one.
template <class T>
struct Backward {
    using Type = T;
    int64_t units;
    const T* packed;
    bool first, last;  // of the walk back: nothing comes from a step after; no gates are left
    Matrix<T> grad_after, grad_hidden, grad_cell, grad, gates, cell, cell_before;

    void operator()(int64_t i0, int height, int64_t j0, int width) const {
        alignas(64) T tile[Tile<T>::size];
        if (!first)
            multiply(grad_after, i0, height, packed + j0 / Tile<T>::columns * panel_step<T>(4 * units), 4 * units, width,
                     panel_width<T>(units, j0), tile);
        for (int r = 0; r < height; r++)
            for_row<T>(width, [&](int64_t j, int n) {
                Vec<T> h = first ? Vec<T>::zero() : Vec<T>::load(tile + r * Tile<T>::columns + j);
                if (last) return grad_hidden.at(i0 + r, j0).store(j, n, h);
                h = grad_hidden.at(i0 + r, j0).load(j, n) + h;
                auto gate = [&](int at) { return gates.at(i0 + r, at * units + j0).load(j, n); };
                Vec<T> i = gate(0), f = gate(1), g = gate(2), o = gate(3), one(T(1));
                Vec<T> squashed = tanh(cell.at(i0 + r, j0).load(j, n));
                Vec<T> c = h * o * (one - squashed * squashed) + grad_cell.at(i0 + r, j0).load(j, n);
                auto keep = [&](int at, Vec<T> v) { grad.at(i0 + r, at * units + j0).store(j, n, v); };
                keep(0, c * g * i * (one - i));
                keep(1, c * cell_before.at(i0 + r, j0).load(j, n) * f * (one - f));
                keep(2, c * i * (one - g * g));
                keep(3, h * squashed * o * (one - o));
                grad_cell.at(i0 + r, j0).store(j, n, c * f);
            });
    }
};

template <class T>
void backward(const Call& call) {
    const View &grad = call.view(0), &grad_h = call.view(1), &grad_c = call.view(2), &from = call.view(3),
               &final_cell = call.view(4);
    const View &gates = call.view(5), &cell = call.view(6), &weight = call.view(7);
    int64_t steps = grad.shape[0], samples = grad.shape[1], units = grad_h.shape[1];
    if (samples * units == 0) return;
    Matrix<T> running = matrix<T>(grad_c);
    for (int64_t n = 0; n < samples; n++)
        for_row<T>(units, [&](int64_t j, int lanes) {
            Vec<T> start = final_cell.present() ? matrix<T>(final_cell).at(n, 0).load(j, lanes) : Vec<T>::zero();
            running.at(n, 0).store(j, lanes, start);
        });
    auto* packed = static_cast<T*>(call.workspace);
    if (steps) pack(packed, weight.ptr<T>(), 4 * units, units, weight.strides[0], weight.strides[1]);
    for (int64_t t = steps - 1; t >= -1; t--) {
        Backward<T> step{units, packed, t + 1 == steps, t < 0, {}, matrix<T>(grad_h), running, {}, {}, {}, {}};
        if (!step.first) step.grad_after = step_of<T>(grad, t + 1);
        if (!step.last) {
            step.grad_hidden = step_of<T>(from, t), step.grad = step_of<T>(grad, t), step.gates = step_of<T>(gates, t);
            step.cell = step_of<T>(cell, t);
            step.cell_before = t ? step_of<T>(cell, t - 1) : matrix<T>(call.view(8));
        }
        for_tiles(samples, units, 4 * units, step);
    }
}

template <class T>
size_t forward_bytes(const Call& call) {
    int64_t units = call.view(0).shape[2];
    return static_cast<size_t>(4 * packed_size<T>(units, units)) * sizeof(T);
}
template <class T>
size_t backward_bytes(const Call& call) {
    int64_t units = call.view(1).shape[1];
    return static_cast<size_t>(packed_size<T>(4 * units, units)) * sizeof(T);
}

constexpr Kernel kernels[] = {
    {&kLstmForward, "brgemm", WW_ISA_NAME, kFloats, by_float<forward<float>, forward<double>>, 10, nullptr,
     bytes_by_float<forward_bytes<float>, forward_bytes<double>>},
    {&kLstmBackward, "brgemm", WW_ISA_NAME, kFloats, by_float<backward<float>, backward<double>>, 10, nullptr,
     bytes_by_float<backward_bytes<float>, backward_bytes<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
