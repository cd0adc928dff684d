"""Initial values of parameters, drawn from the stream of `ww.manual_seed`: the same seed gives the same weights on each device.

Each function fills a tensor in place, outside the graph, and returns it. fan_in is the number of inputs of an output element: for
weights [K, C, R, S] it is C R S, and fan_out is K R S.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from .._named import checked
from .._precision import run_rounded
from ..dtypes import float32, is_sixteen_bit
from ..ops._common import check_float, check_tensor
from ..ops.creation import asarray
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

    >>> import whitewolf as ww
    >>> ww.nn.init.normal_(ww.empty((2, 2))).shape
    (2, 2)
    """
    if not std >= 0:
        raise ValueError(f"normal_: expected std >= 0, got {std}")
    return _fill("normal_", tensor, "normal_forward", mean=mean, std=std)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fills with one value.

    >>> import whitewolf as ww
    >>> ww.nn.init.constant_(ww.empty(2), 3.0)
    tensor([3., 3.])
    """
    check_tensor("constant_", "tensor", tensor)._data.fill(val)
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

    >>> import whitewolf as ww
    >>> ww.nn.init.xavier_uniform_(ww.empty((2, 2))).shape
    (2, 2)
    """
    bound = gain * math.sqrt(6 / max(1, sum(_fans("xavier_uniform_", tensor))))
    return _fill("xavier_uniform_", tensor, "uniform_forward", low=-bound, high=bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Fills from the normal distribution of std gain sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010, equation 12).

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

    >>> import whitewolf as ww
    >>> ww.nn.init.kaiming_uniform_(ww.empty((2, 2))).shape
    (2, 2)
    """
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return _fill("kaiming_uniform_", tensor, "uniform_forward", low=-bound, high=bound)


def kaiming_normal_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Fills from the normal distribution of std gain / sqrt(fan); arguments as `kaiming_uniform_`.

    >>> import whitewolf as ww
    >>> ww.nn.init.kaiming_normal_(ww.empty((2, 2))).shape
    (2, 2)
    """
    std = _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity)
    return _fill("kaiming_normal_", tensor, "normal_forward", mean=0.0, std=std)


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Fills with gain times a matrix of orthonormal rows or columns, whichever are fewer (Saxe et al. 2014, arXiv 1312.6120).

    Dimensions after the first count as one.

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
