"""ReLU in Numba: y = max(x, 0), and its gradient grad_x = grad_y where x > 0, else 0. NaN stays NaN (Nair and Hinton 2010).

One thread an element. Bound by memory: 8 bytes an element in float32, 12 in the gradient.
"""

import numpy as np
from numba import cuda
from whitewolf.numba_cuda import launch, on_device, variant

THREADS = on_device(256, 8)


@cuda.jit
def forward(y, x):
    i = cuda.grid(1)
    if i < y.size:
        if x[i] < 0:  # NaN is not: it stays
            y[i] = 0
        else:
            y[i] = x[i]


@cuda.jit
def backward(grad_x, grad_y, x):
    i = cuda.grid(1)
    if i < grad_x.size:
        if x[i] <= 0:
            grad_x[i] = 0
        else:
            grad_x[i] = grad_y[i]


@variant("relu_forward")
def relu_forward(y, x):
    for arrays in rows(y, x):
        launch(forward, arrays[0].size, THREADS, *arrays)


@variant("relu_backward_x")
def relu_backward_x(grad_x, grad_y, x):
    for arrays in rows(grad_x, grad_y, x):
        launch(backward, arrays[0].size, THREADS, *arrays)


def rows(out, *inputs):
    """The arrays, inputs broadcast, as one row where all are dense in the same order of dimensions; else row by row."""
    order = sorted(range(out.ndim), key=lambda d: -abs(out.strides[d]))
    arrays = [np.broadcast_to(a, out.shape).transpose(order) for a in inputs]
    arrays = [out.transpose(order), *arrays]
    if all(a.flags.c_contiguous for a in arrays):
        yield [a.reshape(-1) for a in arrays]
    else:
        for row in np.ndindex(arrays[0].shape[:-1]):
            yield [a[row] for a in arrays]
