// One matmul_forward call as its CUDA kernels see it: element steps of the operands, passed by value.
#pragma once

#include <algorithm>

#include "kernels/common/epilogue.cuh"
#include "kernels/matmul/matmul.h"

namespace ww::cuda {

struct MatmulProblem {
    int64_t m, n, k;
    int64_t a_row, a_k, b_k, b_column, c_row, c_column, bias_column;
    bool has_bias;
    Activation activation;
    int64_t batch;
    int batch_dims;
    int64_t batch_shape[kMaxDims - 2], batch_a[kMaxDims - 2], batch_b[kMaxDims - 2], batch_c[kMaxDims - 2];

    WW_HOST_DEVICE int64_t outputs() const { return m * n * batch; }
};

// The operands of one product of the batch.
template <class T>
struct MatmulOperands {
    const T *a, *b;
    T* c;
    const T* bias;

    WW_DEVICE MatmulOperands at(const MatmulProblem& p, int64_t index) const {
        MatmulOperands moved = *this;
        for (int d = 0; d < p.batch_dims; d++) {
            int64_t i = index % p.batch_shape[d];
            index /= p.batch_shape[d];
            moved.a += i * p.batch_a[d], moved.b += i * p.batch_b[d], moved.c += i * p.batch_c[d];
        }
        return moved;
    }
};

// The end of every variant: bias, activation, rounding.
template <class T>
WW_DEVICE void finish(const MatmulProblem& p, const MatmulOperands<T>& o, int64_t row, int64_t column, Sum<T> sum) {
    if (p.has_bias) sum += load_value(o.bias + column * p.bias_column);
    store_value(o.c + row * p.c_row + column * p.c_column, activate(sum, p.activation));
}

inline MatmulProblem read_matmul(const Call& call) {
    const View &out = call.view(0), &x = call.view(1), &w = call.view(2), &bias = call.view(3);
    int d = out.ndim - 2;
    MatmulProblem p = {};
    p.m = out.shape[d], p.n = out.shape[d + 1], p.k = x.shape[d + 1];
    p.a_row = x.strides[d], p.a_k = x.strides[d + 1];
    p.b_k = w.strides[d], p.b_column = w.strides[d + 1];
    p.c_row = out.strides[d], p.c_column = out.strides[d + 1];
    p.has_bias = bias.present();
    if (p.has_bias) p.bias_column = bias.strides[0];
    p.activation = static_cast<Activation>(call.integer(0));
    p.batch = 1;
    for (int i = d - 1; i >= 0; i--) {
        int at = p.batch_dims++;
        p.batch *= out.shape[i];
        p.batch_shape[at] = out.shape[i];
        p.batch_a[at] = x.strides[i], p.batch_b[at] = w.strides[i], p.batch_c[at] = out.strides[i];
    }
    return p;
}

template <class T>
MatmulOperands<T> matmul_operands(const Call& call) {
    return {call.view(1).ptr<T>(), call.view(2).ptr<T>(), call.view(0).ptr<T>(), call.has(3) ? call.view(3).ptr<T>() : nullptr};
}

// Element (row, l) of an operand at data + row * row_step + l * k_step: what the mainloops call a source.
template <class T>
struct StridedSource {
    const T* data;
    int64_t rows, k, row_step, k_step;

    WW_DEVICE const T* base() const { return data; }
    WW_DEVICE bool k_is_nearest() const { return k_step == 1; }
    WW_DEVICE bool find(int64_t row, int64_t l, const T*& from) const {
        if (row >= rows || l >= k) return false;
        from = data + row * row_step + l * k_step;
        return true;
    }
    WW_DEVICE int along_k(int64_t row, int64_t l, int n, const T*& from) const {
        return run(row < rows ? k - l : 0, row, l, n, from);
    }
    WW_DEVICE int along_rows(int64_t row, int64_t l, int n, const T*& from) const {
        return run(l < k ? rows - row : 0, row, l, n, from);
    }

  private:
    WW_DEVICE int run(int64_t left, int64_t row, int64_t l, int n, const T*& from) const {
        from = left > 0 ? data + row * row_step + l * k_step : data;
        return left <= 0 ? 0 : left < n ? static_cast<int>(left) : n;
    }
};

// Blocks of a grid over a mainloop's tiles of the output: x counts tiles, y products of the batch, which blocks walk in steps of
// gridDim.y.
template <class Mainloop>
LaunchConfig tile_launch(const MatmulProblem& p) {
    const dim3 grid(static_cast<unsigned>(ceil_div(p.m, Mainloop::rows) * ceil_div(p.n, Mainloop::columns)),
                    static_cast<unsigned>(std::min<int64_t>(p.batch, 65535)));
    return {grid, Mainloop::threads, Mainloop::shared_bytes()};
}

// The kernel of every tiled variant.
template <class Mainloop, class T>
WW_DEVICE void multiply_tiles(const MatmulProblem& p, const MatmulOperands<T>& all) {
    SharedMemory shared;
    Mainloop mainloop(shared);
    const int64_t down = ceil_div(p.m, Mainloop::rows);
    const int64_t row0 = blockIdx.x % down * Mainloop::rows, column0 = blockIdx.x / down * Mainloop::columns;
    for (int64_t product = blockIdx.y; product < p.batch; product += gridDim.y) {
        const MatmulOperands<T> o = all.at(p, product);
        mainloop.run(StridedSource<T>{o.a, p.m, p.k, p.a_row, p.a_k}, StridedSource<T>{o.b, p.n, p.k, p.b_column, p.b_k}, row0,
                     column0, p.k, [&](int64_t row, int64_t column, Sum<T> sum) {
                         if (row < p.m && column < p.n) finish(p, o, row, column, sum);
                     });
    }
}

}  // namespace ww::cuda
