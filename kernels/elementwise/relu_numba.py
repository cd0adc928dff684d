"""ReLU in Numba: y = max(x, 0), and its gradient grad_x = grad_y where x > 0, else 0. NaN stays NaN (Nair and Hinton 2010).

One thread an element. Bound by memory: 8 bytes an element in float32, 12 in the gradient.
"""

from numba import cuda
from whitewolf.numba_cuda import launch, on_device, rows, variant

THREADS = on_device(256, 8)


@cuda.jit
def forward(y, x):
    i = cuda.grid(1)
    if i < y.size:
        if x[i] <= 0:  # NaN is not: it stays; -0.0 is, and gives 0
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
