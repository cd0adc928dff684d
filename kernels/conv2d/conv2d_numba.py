"""Convolution in Numba, with groups, and its gradients (Dumoulin and Visin 2016, arXiv 1603.07285, sections 2 and 4).

  y[n,k,p,q] = activation(sum over c, r, s of w[k,c,r,s] x[n, g Cg + c, p sh + r dh - ph, q sw + s dw - pw] + b[k]),  g = k / Kg

The first rung: one thread an output, which gathers what it needs, so that nothing is written twice and no atomics are needed. Bound
by the latency of global memory. Outside the picture is zero, which is multiplied all the same: a weight that is NaN shows there, too.
"""

from functools import cache

from numba import cuda, float64, from_dtype
from whitewolf.numba_cuda import activation, launch, on_device, variant

THREADS = on_device(128, 8)


@cuda.jit(device=True)
def unravel(i, shape):
    """The four coordinates of element i in C order."""
    d, i = i % shape[3], i // shape[3]
    c, i = i % shape[2], i // shape[2]
    return i // shape[1], i % shape[1], c, d


@cuda.jit(device=True)
def inside(row, column, shape):
    return 0 <= row < shape[2] and 0 <= column < shape[3]


@cache
def forward(dtype, name):
    number = from_dtype(dtype)
    activate = activation(name, number)

    @cuda.jit
    def kernel(y, x, w, b, stride, padding, dilation):
        i = cuda.grid(1)
        if i < y.size:
            n, k, p, q = unravel(i, y.shape)
            K, Cg, R, S = w.shape
            first = k // (K * Cg // x.shape[1]) * Cg  # channel of x: K Cg / C is the number of outputs of a group
            total = number(0)
            for c in range(Cg):
                for r in range(R):
                    for s in range(S):
                        row = p * stride[0] + r * dilation[0] - padding[0]
                        column = q * stride[1] + s * dilation[1] - padding[1]
                        total += w[k, c, r, s] * (x[n, first + c, row, column] if inside(row, column, x.shape) else number(0))
            if b is not None:
                total += b[k]
            y[n, k, p, q] = activate(total)

    return kernel


@cache
def backward_x(dtype):
    number = from_dtype(dtype)

    @cuda.jit
    def kernel(grad_x, grad_y, w, stride, padding, dilation):
        i = cuda.grid(1)
        if i < grad_x.size:
            n, c, row, column = unravel(i, grad_x.shape)
            K, Cg, R, S = w.shape
            Kg = K * Cg // grad_x.shape[1]
            total = number(0)
            for k in range(c // Cg * Kg, c // Cg * Kg + Kg):
                for r in range(R):
                    for s in range(S):
                        down = row + padding[0] - r * dilation[0]
                        across = column + padding[1] - s * dilation[1]
                        if down % stride[0] == 0 and across % stride[1] == 0:  # output (p, q) has this element under tap (r, s)
                            p, q = down // stride[0], across // stride[1]
                            total += w[k, c % Cg, r, s] * (grad_y[n, k, p, q] if inside(p, q, grad_y.shape) else number(0))
            grad_x[n, c, row, column] = total

    return kernel


@cache
def backward_w(dtype):
    number = from_dtype(dtype)

    @cuda.jit
    def kernel(grad_w, x, grad_y, stride, padding, dilation):
        i = cuda.grid(1)
        if i < grad_w.size:
            k, c, r, s = unravel(i, grad_w.shape)
            K, Cg = grad_w.shape[:2]
            channel = k // (K * Cg // x.shape[1]) * Cg + c
            total = number(0)
            for n in range(x.shape[0]):
                for p in range(grad_y.shape[2]):
                    for q in range(grad_y.shape[3]):
                        row = p * stride[0] + r * dilation[0] - padding[0]
                        column = q * stride[1] + s * dilation[1] - padding[1]
                        total += grad_y[n, k, p, q] * (x[n, channel, row, column] if inside(row, column, x.shape) else number(0))
            grad_w[k, c, r, s] = total

    return kernel


@cuda.jit
def backward_b(grad_b, grad_y):
    k = cuda.grid(1)
    if k < grad_b.size:
        total = float64(0)  # of as many elements as an output has in the whole batch
        for n in range(grad_y.shape[0]):
            for p in range(grad_y.shape[2]):
                for q in range(grad_y.shape[3]):
                    total += grad_y[n, k, p, q]
        grad_b[k] = total


def two(value):
    """An int for both dimensions, or two of them."""
    return (value, value) if isinstance(value, int) else tuple(value)


@variant("conv2d_forward")
def conv2d_forward(y, x, w, b=None, stride=1, padding=0, dilation=1, groups=1, activation="none"):
    launch(forward(y.dtype, activation), y.size, THREADS, y, x, w, b, two(stride), two(padding), two(dilation))


@variant("conv2d_backward_x")
def conv2d_backward_x(grad_x, grad_y, w, stride=1, padding=0, dilation=1, groups=1):
    launch(backward_x(w.dtype), grad_x.size, THREADS, grad_x, grad_y, w, two(stride), two(padding), two(dilation))


@variant("conv2d_backward_w")
def conv2d_backward_w(grad_w, x, grad_y, stride=1, padding=0, dilation=1, groups=1):
    launch(backward_w(x.dtype), grad_w.size, THREADS, grad_w, x, grad_y, two(stride), two(padding), two(dilation))


@variant("conv2d_backward_b")
def conv2d_backward_b(grad_b, grad_y):
    launch(backward_b, grad_b.size, THREADS, grad_b, grad_y)
