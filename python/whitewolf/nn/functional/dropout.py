"""Dropout under PyTorch's arguments."""

from __future__ import annotations

from ...ops import dropout as ops
from ...ops._common import check_tensor
from ...ops.creation import ones
from ...ops.elementwise import multiply
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
        inplace: taken for the sake of code written for PyTorch; a new tensor is returned.

    Raises:
        ValueError: p is outside.

    >>> import whitewolf as ww
    >>> ww.nn.functional.dropout(ww.ones(2), training=False)
    tensor([1., 1.])
    """
    _check_p("dropout", p)
    x = check_tensor("dropout", "input", input)
    return ops.dropout(x, p) if training and p else x


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels of input [N, C, ...] (Tompson et al. 2015, arXiv 1411.4280, section 3.2).

    Raises:
        ValueError: p is outside [0, 1], or the input has fewer than 2 dimensions.
    """
    _check_p("dropout2d", p)
    x = check_tensor("dropout2d", "input", input)
    if x.ndim < 2:
        raise ValueError(f"dropout2d: expected input [N, C, ...], got input.shape == {x.shape}")
    if not training or not p:
        return x
    mask = ops.dropout(ones((*x.shape[:2], *(1,) * (x.ndim - 2)), dtype=x.dtype, device=x.device), p)
    return multiply(x, mask)
