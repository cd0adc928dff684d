"""Sums in Numba: y = the sum of x over the dimensions where y has size 1.

A block an output: each thread adds up every THREADS-th element, in float64, and a tree in shared memory adds up what the threads have.
Bound by memory; one block an output leaves a GPU idle where there are few of them. What gradients need: a bias is added to every row,
and its gradient is the sum of theirs.
"""

from functools import cache

from numba import cuda, float64, from_dtype
from whitewolf.numba_cuda import launch, on_device, variant

THREADS = on_device(128, 4)
DIMS = 6  # that are not 1


@cuda.jit(device=True)
def place(i, shape):
    """The coordinates of element i in C order."""
    f, i = i % shape[5], i // shape[5]
    e, i = i % shape[4], i // shape[4]
    d, i = i % shape[3], i // shape[3]
    c, i = i % shape[2], i // shape[2]
    return i // shape[1], i % shape[1], c, d, e, f


@cache
def total(dtype):
    number = from_dtype(dtype)

    @cuda.jit
    def kernel(y, x, reduced, n):
        parts = cuda.shared.array(THREADS, float64)
        thread = cuda.threadIdx.x
        a, b, c, d, e, f = place(cuda.blockIdx.x, y.shape)
        mine = float64(0)
        for r in range(thread, n, THREADS):
            i, j, k, m, o, p = place(r, reduced)
            mine += x[a + i, b + j, c + k, d + m, e + o, f + p]
        parts[thread] = mine
        cuda.syncthreads()
        width = THREADS // 2
        while width > 0:
            if thread < width:
                parts[thread] += parts[thread + width]
            cuda.syncthreads()
            width //= 2
        if thread == 0:
            y[a, b, c, d, e, f] = number(parts[0])

    return kernel


@variant("sum_forward")
def sum_forward(y, x):
    # Dimensions of size 1 are left out, and put in front again until there are DIMS: views, whatever the strides.
    kept = [d for d in range(x.ndim) if x.shape[d] != 1]
    if len(kept) > DIMS:
        raise ValueError(f"sum_forward: expected x of at most {DIMS} dimensions that are not 1 on variant 'numba', got {x.shape}")
    index = tuple(slice(None) if d in kept else 0 for d in range(x.ndim))
    y, x = (a[(None,) * (DIMS - len(kept)) + index] for a in (y, x))
    reduced = tuple(size if out == 1 else 1 for size, out in zip(x.shape, y.shape))
    n = 1
    for size in reduced:
        n *= size
    launch(total(y.dtype), y.size * THREADS, THREADS, y, x, reduced, n)
