"""Initial values of parameters, drawn from the stream of `ww.manual_seed`: the same seed gives the same weights on each device.

Each function fills a tensor in place, outside the graph, and returns it. fan_in is the number of inputs of an output element: for
weights [K, C, R, S] it is C R S, and fan_out is K R S.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .._named import checked
from .._precision import run_rounded
from ..dtypes import float32, is_sixteen_bit
from ..ops._common import check_count, check_float, check_tensor
from ..ops.creation import asarray, fill
from ..ops.elementwise import erf, exp, log, sign, sqrt
from ..ops.logic import less
from ..ops.ranges import eye
from ..ops.search import argsort
from ..ops.select import clip, where
from ..random import take_blocks
from ..tensor import Tensor, wrap
from .parameter import overwrite


def _fill(op: str, tensor: Tensor, kernel: str, **attributes: float) -> Tensor:
    """Fills a tensor with random numbers from the next blocks of the stream."""
    tensor = check_tensor(op, "tensor", tensor)
    short = is_sixteen_bit(tensor.dtype)
    if not short:
        check_float(op, "tensor", tensor)
    per_block = 4 if short else 16 // tensor.dtype.itemsize  # a block is 128 bits, and 16-bit floats are drawn as float32
    seed, offset = take_blocks(-(-tensor.size // per_block))
    run = partial(run_rounded, tensor.device, kernel) if short else tensor.device.kernels[kernel]
    run(tensor._data, **attributes, seed=seed, offset=offset)
    tensor._overwritten()
    return tensor


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Fills from the uniform distribution on [a, b).

    Raises:
        ValueError: a > b.

    >>> import whitewolf as ww
    >>> x = ww.nn.init.uniform_(ww.empty(1000), -1, 1)
    >>> x.shape, bool(ww.all(x >= -1)), bool(ww.all(x < 1))
    ((1000,), True, True)
    """
    if not a <= b:
        raise ValueError(f"uniform_: expected a <= b, got a == {a}, b == {b}")
    return _fill("uniform_", tensor, "uniform_forward", low=a, high=b)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Fills from the normal distribution of that mean and standard deviation.

    Raises:
        ValueError: std is negative.

    >>> import whitewolf as ww
    >>> ww.nn.init.normal_(ww.empty((2, 2))).shape
    (2, 2)
    """
    if not std >= 0:
        raise ValueError(f"normal_: expected std >= 0, got {std}")
    return _fill("normal_", tensor, "normal_forward", mean=mean, std=std)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fills with one value.

    Raises:
        TypeError: it is a fraction, NaN or infinite, and the tensor holds integers.

    >>> import whitewolf as ww
    >>> ww.nn.init.constant_(ww.empty(2), 3.0)
    tensor([3., 3.])
    """
    tensor = check_tensor("constant_", "tensor", tensor)
    if tensor.dtype.kind in "biu" and not (math.isfinite(val) and val == int(val)):
        raise TypeError(f"constant_: expected val to be an integer for a tensor of dtype {tensor.dtype}, got {val}")
    fill("constant_", "val", tensor._data, val)
    tensor._overwritten()
    return tensor


def zeros_(tensor: Tensor) -> Tensor:
    """Fills with zeros.

    >>> import whitewolf as ww
    >>> ww.nn.init.zeros_(ww.empty(2))
    tensor([0., 0.])
    """
    return constant_(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """Fills with ones.

    >>> import whitewolf as ww
    >>> ww.nn.init.ones_(ww.empty(2))
    tensor([1., 1.])
    """
    return constant_(tensor, 1)


def _fans(op: str, tensor: Tensor) -> tuple[int, int]:
    shape = check_tensor(op, "tensor", tensor).shape
    if len(shape) < 2:
        raise ValueError(f"{op}: expected a tensor of at least 2 dimensions (out, in, ...), got tensor.shape == {shape}")
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Fills from U(-b, b), b = gain sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, equation 16).

    Raises:
        ValueError: the tensor has less than 2 dimensions, or an option is none of those.

    >>> import whitewolf as ww
    >>> ww.nn.init.xavier_uniform_(ww.empty((2, 2))).shape
    (2, 2)
    """
    bound = gain * math.sqrt(6 / max(1, sum(_fans("xavier_uniform_", tensor))))
    return _fill("xavier_uniform_", tensor, "uniform_forward", low=-bound, high=bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Fills from the normal distribution of std gain sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010, equation 12).

    Raises:
        ValueError: the tensor has less than 2 dimensions, or an option is none of those.

    >>> import whitewolf as ww
    >>> ww.nn.init.xavier_normal_(ww.empty((2, 2))).shape
    (2, 2)
    """
    std = gain * math.sqrt(2 / max(1, sum(_fans("xavier_normal_", tensor))))
    return _fill("xavier_normal_", tensor, "normal_forward", mean=0.0, std=std)


def _kaiming_std(op: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{op}: expected mode to be 'fan_in' or 'fan_out', got {mode!r}")
    fan = _fans(op, tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(1, fan))


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Fills from U(-b, b), b = gain sqrt(3 / fan) (He et al. 2015, arXiv 1502.01852, equations 10 and 14).

    Args:
        a: slope of the leaky ReLU behind the layer.
        mode: "fan_in" keeps the variance forward, "fan_out" backward.
        nonlinearity: what `calculate_gain` takes.

    Raises:
        ValueError: the tensor has less than 2 dimensions, or an option is none of those.

    >>> import whitewolf as ww
    >>> ww.nn.init.kaiming_uniform_(ww.empty((2, 2))).shape
    (2, 2)
    """
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return _fill("kaiming_uniform_", tensor, "uniform_forward", low=-bound, high=bound)


def kaiming_normal_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Fills from the normal distribution of std gain / sqrt(fan); arguments as `kaiming_uniform_`.

    Raises:
        ValueError: the tensor has less than 2 dimensions, or an option is none of those.

    >>> import whitewolf as ww
    >>> ww.nn.init.kaiming_normal_(ww.empty((2, 2))).shape
    (2, 2)
    """
    std = _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity)
    return _fill("kaiming_normal_", tensor, "normal_forward", mean=0.0, std=std)


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Fills with gain times a matrix of orthonormal rows or columns, whichever are fewer (Saxe et al. 2014, arXiv 1312.6120).

    Dimensions after the first count as one.

    Raises:
        ValueError: the tensor has less than 2 dimensions, or an option is none of those.

    >>> import whitewolf as ww
    >>> ww.nn.init.orthogonal_(ww.empty((2, 2))).shape
    (2, 2)
    """
    _fans("orthogonal_", tensor)
    if not tensor.size:
        return tensor
    rows = tensor.shape[0]
    dtype = float32 if is_sixteen_bit(tensor.dtype) else tensor.dtype
    flat = normal_(wrap(tensor.device.empty((rows, tensor.size // rows), dtype), tensor.device)).numpy()
    wide = flat.shape[0] < flat.shape[1]
    q, r = np.linalg.qr((flat.T if wide else flat).astype(np.float64))
    q *= np.where(np.diag(r) < 0, -1.0, 1.0)  # or the factorisation's choice of signs would not be uniform
    values = np.ascontiguousarray((q.T if wide else q) * gain).astype(tensor.dtype).reshape(tensor.shape)
    overwrite(tensor, asarray(values))
    return tensor


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Tensor:
    """Fills from the normal distribution of that mean and standard deviation, given that a <= x <= b: its quantile function of uniform
    numbers, x = mean + std sqrt(2) erfinv(u) (Devroye, "Non-uniform random variate generation", 1986, section II.2).

    Args:
        a, b: the ends, in the units of the tensor (not of std).

    Raises:
        ValueError: std <= 0, a >= b, or [a, b] holds less of the distribution than float64 tells from nothing.

    >>> import whitewolf as ww
    >>> bool(ww.all(ww.abs(ww.nn.init.trunc_normal_(ww.empty(1000), std=0.02, a=-0.04, b=0.04)) <= 0.04))
    True
    """
    if not std > 0:
        raise ValueError(f"trunc_normal_: expected std > 0, got {std}")
    low, high = (math.erf((end - mean) / (std * math.sqrt(2))) for end in (a, b))
    if not a < b or not low < high:
        raise ValueError(
            f"trunc_normal_: expected a < b about mean {mean}, with part of the distribution between, got a == {a}, b == {b}"
        )
    u = _drawn("trunc_normal_", tensor, low, high)
    overwrite(tensor, clip(_erfinv(u) * (std * math.sqrt(2)) + mean, a, b))
    return tensor


def _drawn(op: str, tensor: Tensor, low: float, high: float) -> Tensor:
    """Uniform float64 of the shape and on the device of `tensor`, which is checked."""
    if not is_sixteen_bit(check_tensor(op, "tensor", tensor).dtype):
        check_float(op, "tensor", tensor)
    return uniform_(wrap(tensor.device.empty(tensor.shape, np.dtype("float64")), tensor.device), low, high)


def _erfinv(y: Tensor) -> Tensor:
    """x of erf(x) == y, to rounding: Halley's steps from Winitzki's approximation (2008), which is within 0.002 of it."""
    y = clip(y, -1 + 2.0**-53, 1 - 2.0**-53)
    logarithm = log(1 - y * y)
    half = 2 / (math.pi * 0.147) + logarithm / 2
    x = sign(y) * sqrt(sqrt(half * half - logarithm / 0.147) - half)
    for _ in range(3):
        step = (erf(x) - y) / (2 / math.sqrt(math.pi) * exp(-x * x))
        x = x - step / (1 + x * step)
    return x


def eye_(tensor: Tensor) -> Tensor:
    """Fills a matrix with ones on the diagonal and zeros elsewhere: a linear layer that passes on what it can.

    Raises:
        ValueError: the tensor has not 2 dimensions.

    >>> import whitewolf as ww
    >>> ww.nn.init.eye_(ww.empty((2, 2))).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    _check_dimensions("eye_", tensor, 2, 2)
    overwrite(tensor, eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device))
    return tensor


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fills weights of a convolution, [K, C, ...], so that each group of outputs passes on its channels: 1 at the window's centre.

    Raises:
        ValueError: the tensor has not 3, 4 or 5 dimensions, or its first is no multiple of `groups`.

    >>> import whitewolf as ww
    >>> ww.nn.init.dirac_(ww.empty((1, 1, 3))).tolist()
    [[[0.0, 1.0, 0.0]]]
    """
    _check_dimensions("dirac_", tensor, 3, 5)
    if tensor.shape[0] % check_count("dirac_", "groups", groups, 1):
        raise ValueError(f"dirac_: expected groups to divide {tensor.shape[0]} (tensor.shape[0]), got {groups}")
    values = np.zeros(tensor.shape, np.float32)
    middle: Any = (slice(None), slice(None), *(n // 2 for n in tensor.shape[2:]))
    centre = values[middle]
    a_group = tensor.shape[0] // groups
    passed = np.arange(min(a_group, tensor.shape[1]))
    for group in range(groups):
        centre[group * a_group + passed, passed] = 1
    overwrite(tensor, asarray(values))
    return tensor


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01) -> Tensor:
    """Fills a matrix from the normal distribution, then sets the part `sparsity` of each column to zero (Martens 2010).

    Raises:
        ValueError: the tensor has not 2 dimensions, `sparsity` is outside [0, 1], or std is negative.

    >>> import whitewolf as ww
    >>> int(ww.count_nonzero(ww.nn.init.sparse_(ww.empty((10, 4)), 0.3)))
    28
    """
    _check_dimensions("sparse_", tensor, 2, 2)
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparse_: expected sparsity in [0, 1], got {sparsity}")
    zeros = math.ceil(sparsity * tensor.shape[0])
    order = argsort(argsort(_drawn("sparse_", tensor, 0.0, 1.0), axis=0), axis=0)
    normal_(tensor, 0.0, std)
    overwrite(tensor, where(less(order, zeros), 0.0, tensor.detach()))
    return tensor


def _check_dimensions(op: str, tensor: Tensor, least: int, most: int) -> None:
    if not least <= check_tensor(op, "tensor", tensor).ndim <= most:
        words = f"{least}" if least == most else f"{least} to {most}"
        raise ValueError(f"{op}: expected a tensor of {words} dimensions, got tensor.shape == {tensor.shape}")


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance of signals through a nonlinearity: sqrt(2) for ReLU, 5/3 for tanh, 1 for linear layers.

    Args:
        param: slope of "leaky_relu", 0.01 unless given.

    Raises:
        ValueError: `nonlinearity` is not known.

    >>> import whitewolf as ww
    >>> ww.nn.init.calculate_gain("linear")
    1.0
    """
    gains: dict[str, Callable[[], float]] = {
        "tanh": lambda: 5 / 3, "relu": lambda: math.sqrt(2), "selu": lambda: 3 / 4,
        "leaky_relu": lambda: math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2)),
    }  # fmt: skip
    for name in ("linear", "sigmoid", *(f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3))):
        gains[name] = lambda: 1.0
    if nonlinearity not in gains:
        raise ValueError(f"calculate_gain: expected nonlinearity to be one of {', '.join(gains)}, got {nonlinearity!r}")
    return gains[nonlinearity]()


globals().update(
    {
        _name: checked(_function)
        for _name, _function in list(globals().items())
        if getattr(_function, "__module__", "") == __name__ and _name[0] != "_"
    }
)
