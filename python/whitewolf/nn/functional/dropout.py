"""Dropout under PyTorch's arguments; `inplace` as in activation.py."""

from __future__ import annotations

from ...ops import dropout as ops
from ...ops._common import check_tensor
from ...ops.creation import ones
from ...ops.elementwise import add, multiply
from ...ops.in_place import in_place
from ...tensor import Tensor


def _check_p(op: str, p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"{op}: expected p in [0, 1], got {p}")


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training, input / (1 - p) at each element with probability 1 - p, else 0 (Srivastava et al. 2014, section 10).

    The mask depends on `ww.manual_seed`'s stream and on an element's place in C order alone: it is the same on each device.

    Args:
        input: float32 or float64, any shape.
        p: the share of elements to drop, in [0, 1].
        training: without it, the input is returned.
        inplace: write the result into the input's memory, as `x += y` does, and return the input.

    Raises:
        ValueError: p is outside.

    >>> import whitewolf as ww
    >>> ww.nn.functional.dropout(ww.ones(2), training=False)
    tensor([1., 1.])
    """
    if inplace and training and p:
        return in_place("dropout", input, lambda x: dropout(x, p, training), saves=False)
    _check_p("dropout", p)
    x = check_tensor("dropout", "input", input)
    return ops.dropout(x, p) if training and p else x


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels of input [N, C, L], or [C, L].

    Raises:
        ValueError: p is outside [0, 1], or the input has other than 2 or 3 dimensions.

    >>> import whitewolf as ww
    >>> ww.nn.functional.dropout1d(ww.ones((1, 2, 3)), training=False).shape
    (1, 2, 3)
    """
    if inplace and training and p:
        return in_place("dropout1d", input, lambda x: dropout1d(x, p, training))
    _check_p("dropout1d", p)
    x = check_tensor("dropout1d", "input", input)
    if x.ndim not in (2, 3):
        raise ValueError(f"dropout1d: expected input [N, C, L] or [C, L], got input.shape == {x.shape}")
    return multiply(x, _mask_like(x, x.shape[:-1], p)) if training and p else x


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels of input [N, C, ...] (Tompson et al. 2015, arXiv 1411.4280, section 3.2).

    Raises:
        ValueError: p is outside [0, 1], or the input has fewer than 2 dimensions.

    >>> import whitewolf as ww
    >>> ww.nn.functional.dropout2d(ww.ones((1, 2, 3, 3)), training=False).shape
    (1, 2, 3, 3)
    """
    if inplace and training and p:
        return in_place("dropout2d", input, lambda x: dropout2d(x, p, training))
    _check_p("dropout2d", p)
    x = check_tensor("dropout2d", "input", input)
    if x.ndim < 2:
        raise ValueError(f"dropout2d: expected input [N, C, ...], got input.shape == {x.shape}")
    if not training or not p:
        return x
    return multiply(x, _mask_like(x, x.shape[:2], p))


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout2d` of input [N, C, D, H, W].

    Raises:
        ValueError: p is outside [0, 1], or the input has less than 2 dimensions.

    >>> import whitewolf as ww
    >>> ww.nn.functional.dropout3d(ww.ones((1, 2, 3, 3, 3)), training=False).shape
    (1, 2, 3, 3, 3)
    """
    if inplace and training and p:
        return in_place("dropout3d", input, lambda x: dropout3d(x, p, training))
    return dropout2d(input, p, training)


def _mask_like(x: Tensor, lead: tuple[int, ...], p: float) -> Tensor:
    """1 / (1 - p) or 0 for each of the first dimensions, to be multiplied by x."""
    return ops.dropout(ones((*lead, *(1,) * (x.ndim - len(lead))), dtype=x.dtype, device=x.device), p)


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """In training, a (input m + s (1 - m)) + b, the mask m 0 with probability p, else 1 (Klambauer et al. 2017, section 3).

    Dropped elements become s = -1.0507 1.6733, where `selu` ends, and a = ((1 - p) (1 + p s^2))^(-1/2), b = -a p s keep mean 0 and
    variance 1.

    Raises:
        ValueError: p is outside [0, 1].

    >>> import whitewolf as ww
    >>> ww.nn.functional.alpha_dropout(ww.ones(3), training=False)
    tensor([1., 1., 1.])
    """
    if inplace and training and p:
        return in_place("alpha_dropout", input, lambda x: alpha_dropout(x, p, training))
    return _alpha_dropout("alpha_dropout", input, p, training, whole_channels=False)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """`alpha_dropout` of whole channels of input [N, C, ...].

    Raises:
        ValueError: p is outside [0, 1].

    >>> import whitewolf as ww
    >>> ww.nn.functional.feature_alpha_dropout(ww.ones((1, 2, 3)), training=False).shape
    (1, 2, 3)
    """
    if inplace and training and p:
        return in_place("feature_alpha_dropout", input, lambda x: feature_alpha_dropout(x, p, training))
    return _alpha_dropout("feature_alpha_dropout", input, p, training, whole_channels=True)


def _alpha_dropout(op: str, input: Tensor, p: float, training: bool, *, whole_channels: bool) -> Tensor:
    _check_p(op, p)
    x = check_tensor(op, "input", input)
    if not training or not p:
        return x
    if p == 1:
        return multiply(x, 0)
    mask = multiply(_mask_like(x, x.shape[:2] if whole_channels else x.shape, p), 1 - p)
    a = ((1 - p) * (1 + p * _DROPPED**2)) ** -0.5
    return add(multiply(multiply(x, mask), a), add(multiply(mask, -a * _DROPPED), a * _DROPPED - a * p * _DROPPED))


_DROPPED = -1.7580993408473766  # selu's limit
