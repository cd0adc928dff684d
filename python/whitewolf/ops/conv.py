"""Convolution: check, allocate, call the kernel, record.

The sum of products y = x * w is linear in x and in w, so its gradients, conv2d_backward_x and conv2d_backward_w, are the two other
products of the same three arrays, and the gradients of each of the three are the other two: second derivatives, and all after them,
need no kernel of their own. The transposed convolution is conv2d_backward_x as a forward op, and conv1d is conv2d with H = 1.

Formulas and errors speak of x (input), w (weight) and b (bias), with the letters of the kernels' contract.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._precision import run_product, run_rounded
from ..autograd import Node, record, save_output, saved_output
from ..device import Array
from ..dtypes import is_sixteen_bit
from ..tensor import Tensor
from ._common import check_count, check_float, check_same_device, check_same_dtype, check_tensor, pair
from ._sixteen import through_float32
from .elementwise import add, fused_backward
from .indexing import getitem
from .manipulation import broadcast_to, expand_dims, pad_constant, reshape, squeeze

if TYPE_CHECKING:
    Attrs = dict[str, Any]  # stride, padding, dilation, groups: what all kernels of the family take


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] | str = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
    *,
    activation: str = "none",
) -> Tensor:
    """Each picture of x cross-correlated with the filters w (LeCun et al. 1989; Dumoulin and Visin 2016).

    y[n,k,p,q] = sum over c, r, s of w[k,c,r,s] x[n, g C / groups + c, p stride + r dilation - padding, q ...] + b[k], where k lies in
    group g; x is zero outside the picture. On the cpu, float32 filters of 3x3 and above are multiplied by Winograd's F(2x2, 3x3) where it
    pays (Lavin and Gray 2015; the kernel's contract states its error); `ww.kernels.use(conv2d="implicit_gemm")` sums term by term.

    Args:
        input: x, float32 or float64 [N, C, H, W], or one picture [C, H, W].
        weight: w, [K, C / groups, R, S].
        bias: b, [K].
        stride, dilation: an int, or one for each of H and W.
        padding: zeros on both sides: an int, one for each of H and W, "valid" (none), or "same" (P = H and Q = W, for stride 1; where
            the zeros do not divide evenly there is one more below and to the right).
        groups: channels and filters fall into so many groups, each convolved by itself.
        activation: "none", or "relu": max(y, 0) in the same pass over memory, with derivative 0 at 0.

    Returns:
        y [N, K, P, Q], channels last in memory; P = floor((H + 2 padding - dilation (R - 1) - 1) / stride) + 1.

    Raises:
        ValueError: the shapes do not fit, or an attribute is out of range.
        TypeError: the dtypes differ, or are no kernel's.

    >>> import whitewolf as ww
    >>> x = ww.reshape(ww.arange(9, dtype="float32"), (1, 1, 3, 3))
    >>> ww.nn.functional.conv2d(x, ww.ones((1, 1, 2, 2)))
    tensor([[[[ 8., 12.],
              [20., 24.]]]])
    """
    if activation not in ("none", "relu"):
        raise ValueError(f"conv2d: expected activation to be none or relu, got {activation!r}")
    x, single = _batched("conv2d", input, 2)
    attrs, cut = _check("conv2d", x, weight, bias, stride, padding, dilation, groups, 2)
    y = _forward(x, weight, bias, attrs, activation)
    if any(cut):
        y = getitem(y, (..., *(slice(c, None) for c in cut)))
    return squeeze(y, 0) if single else y


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] | str = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Tensor:
    """Each row of x [N, C, W], or [C, W], cross-correlated with the filters w [K, C / groups, S]; otherwise as `conv2d`.

    Raises:
        ValueError: the shapes do not fit, or an option is outside its range.

    >>> import whitewolf as ww
    >>> ww.nn.functional.conv1d(ww.asarray([[[1.0, 2.0, 4.0]]]), ww.asarray([[[-1.0, 1.0]]]))
    tensor([[[1., 2.]]])
    """
    x, single = _batched("conv1d", input, 1)
    attrs, cut = _check("conv1d", x, weight, bias, stride, padding, dilation, groups, 1)
    y = squeeze(_forward(expand_dims(x, axis=2), expand_dims(weight, axis=2), bias, attrs, "none"), 2)
    if any(cut):
        y = getitem(y, (..., slice(cut[0], None)))
    return squeeze(y, 0) if single else y


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    output_padding: int | tuple[int, ...] = 0,
    groups: int = 1,
    dilation: int | tuple[int, ...] = 1,
) -> Tensor:
    """The adjoint of `conv2d` in x: each element of x [N, K, P, Q] adds w[k] times itself to y (Dumoulin and Visin 2016, section 4).

    Args:
        input: x, float32 or float64 [N, K, P, Q], or one picture [K, P, Q].
        weight: w, [K, C / groups, R, S].
        bias: b, [C].
        stride, padding, dilation: as of the convolution whose adjoint this is.
        output_padding: rows and columns more at the end, less than stride or dilation: what that convolution would leave over.
        groups: as of `conv2d`.

    Returns:
        y [N, C, H, W], channels last in memory; H = (P - 1) stride - 2 padding + dilation (R - 1) + output_padding + 1.

    Raises:
        ValueError: the shapes do not fit, or an attribute is out of range.
        TypeError: the dtypes differ, or are no kernel's.

    >>> import whitewolf as ww
    >>> ww.nn.functional.conv_transpose2d(ww.ones((1, 1, 1, 2)), ww.asarray([[[[1.0, 2.0, 3.0]]]]))
    tensor([[[[1., 3., 5., 3.]]]])
    """
    x, single = _batched("conv_transpose2d", input, 2)
    y = _transposed("conv_transpose2d", x, weight, bias, stride, padding, output_padding, groups, dilation, 2)
    return squeeze(y, 0) if single else y


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    output_padding: int | tuple[int, ...] = 0,
    groups: int = 1,
    dilation: int | tuple[int, ...] = 1,
) -> Tensor:
    """The adjoint of `conv1d` in x: x [N, K, Q], or [K, Q], and w [K, C / groups, S]; otherwise as `conv_transpose2d`.

    Raises:
        ValueError: the shapes do not fit, or an option is outside its range.

    >>> import whitewolf as ww
    >>> ww.nn.functional.conv_transpose1d(ww.ones((1, 1, 2)), ww.asarray([[[1.0, 2.0, 3.0]]]))
    tensor([[[1., 3., 5., 3.]]])
    """
    x, single = _batched("conv_transpose1d", input, 1)
    y = _transposed("conv_transpose1d", x, weight, bias, stride, padding, output_padding, groups, dilation, 1)
    return squeeze(y, 0) if single else y


def _transposed(
    op: str,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
    dims: int,
) -> Tensor:
    w = check_tensor(op, "w", weight)
    _check_operands(op, x, w, bias, dims)
    if bias is not None and is_sixteen_bit(x.dtype):  # product and bias, rounded once
        return through_float32(_transposed, op, x, w, bias, stride, padding, output_padding, groups, dilation, dims)
    attrs: Attrs = _attributes(op, stride, padding, dilation, groups, dims)
    left_over = pair(op, "output_padding", output_padding, dims)
    if x.shape[1] != w.shape[0] or w.shape[0] % groups:
        raise ValueError(
            f"{op}: expected w.shape[0] == {x.shape[1]} (x channels), a multiple of groups {groups}, got w.shape == {w.shape}"
        )
    channels = w.shape[1] * groups
    _check_bias(op, bias, channels, f"w.shape[1] {w.shape[1]} * groups {groups}")
    sizes = []
    for i, (n, size, s, p, d, o) in enumerate(
        zip(x.shape[2:], w.shape[2:], attrs["stride"], attrs["padding"], attrs["dilation"], left_over)
    ):
        if not 0 <= o < max(s, d):
            raise ValueError(
                f"{op}: expected output_padding[{i}] in [0, max(stride[{i}], dilation[{i}])) == [0, {max(s, d)}), got {o}"
            )
        sizes.append((n - 1) * s - 2 * p + d * (size - 1) + o + 1)
    if min(sizes) < 0 or not min(w.shape[2:]) or not min(x.shape[2:]):
        raise ValueError(f"{op}: expected an output of no negative size, got H, W == {tuple(sizes)} for x.shape == {x.shape}, "
                         f"w.shape == {w.shape}, padding {attrs['padding']}")  # fmt: skip
    cut = None
    if min(sizes) == 0 or any(o >= s for o, s in zip(left_over, attrs["stride"])):
        # No convolution leaves so much over, or begins with nothing: all that the filters reach, cut and filled up to the size.
        reached = [
            (n - 1) * s + d * (k - 1) + 1 for n, k, s, d in zip(x.shape[2:], w.shape[2:], attrs["stride"], attrs["dilation"])
        ]
        cut = [(0, 0), (0, 0), *((-p, size + p - all_) for p, size, all_ in zip(attrs["padding"], sizes, reached))]
        sizes, attrs["padding"] = reached, (0,) * dims
    if dims == 1:
        attrs = {name: v if name == "groups" else (0 if name == "padding" else 1, *v) for name, v in attrs.items()}
        y = squeeze(_backward_x(expand_dims(x, axis=2), expand_dims(w, axis=2), (x.shape[0], channels, 1, *sizes), attrs), 2)
    else:
        y = _backward_x(x, w, (x.shape[0], channels, *sizes), attrs)
    if cut is not None:
        y = pad_constant(y, cut)
    return y if bias is None else add(y, reshape(bias, (-1,) + (1,) * dims))


# ---- the checks ----------------------------------------------------------------------------------------------------------------


def _batched(op: str, input: Tensor, dims: int) -> tuple[Tensor, bool]:
    """`input` with a batch dimension, and whether it had none."""
    x = check_tensor(op, "x", input)
    if x.ndim == dims + 2:
        return x, False
    if x.ndim == dims + 1:
        return expand_dims(x), True
    raise ValueError(f"{op}: expected x of {dims + 2} dimensions (or {dims + 1} without a batch), got x.shape == {x.shape}")


def _check_operands(op: str, x: Tensor, w: Tensor, b: Tensor | None, dims: int) -> None:
    if b is not None:
        check_tensor(op, "b", b)
    check_same_device(op, x=x, w=w, b=b)
    if not is_sixteen_bit(x.dtype):  # run_product takes them
        check_float(op, "x", x)
    check_same_dtype(op, x=x, w=w, b=b)
    if w.ndim != dims + 2:
        raise ValueError(f"{op}: expected w of {dims + 2} dimensions, got w.shape == {w.shape}")


def _check_bias(op: str, b: Tensor | None, size: int, reason: str) -> None:
    if b is not None and b.shape != (size,):
        raise ValueError(f"{op}: expected b.shape == ({size},) ({reason}), got b.shape == {b.shape}")


def _attributes(op: str, stride: Any, padding: Any, dilation: Any, groups: Any, dims: int) -> Attrs:
    """The kernels' attributes with `dims` values each."""
    attrs = {
        name: pair(op, name, value, dims) for name, value in (("stride", stride), ("padding", padding), ("dilation", dilation))
    }
    for name, values in attrs.items():
        least = 0 if name == "padding" else 1
        for i, value in enumerate(values):
            if value < least:
                raise ValueError(f"{op}: expected {name}[{i}] >= {least}, got {name} == {values}")
    return {**attrs, "groups": check_count(op, "groups", groups, 1)}


def _check(
    op: str, x: Tensor, weight: Tensor, b: Tensor | None, stride: Any, padding: Any, dilation: Any, groups: int, dims: int
) -> tuple[Attrs, tuple[int, ...]]:
    """The attributes of the kernel, two values each, and how many leading outputs to cut off, which only "same" needs."""
    w = check_tensor(op, "w", weight)
    _check_operands(op, x, w, b, dims)
    named = padding if isinstance(padding, str) else None
    if named not in (None, "same", "valid"):
        raise ValueError(f"{op}: expected padding to be ints, 'same' or 'valid', got {padding!r}")
    attrs = _attributes(op, stride, 0 if named else padding, dilation, groups, dims)
    channels, inner = x.shape[1], w.shape[1]
    if channels % groups:
        raise ValueError(f"{op}: expected x.shape[1] to be a multiple of groups {groups}, got x.shape == {x.shape}")
    if inner * groups != channels:
        raise ValueError(
            f"{op}: expected w.shape[1] == {channels // groups} (x channels {channels} / groups {groups}), got w.shape == {w.shape}"
        )
    if w.shape[0] % groups:
        raise ValueError(f"{op}: expected w.shape[0] to be a multiple of groups {groups}, got w.shape == {w.shape}")
    _check_bias(op, b, w.shape[0], "w.shape[0]")
    cut = (0,) * dims
    if named == "same":
        if any(s != 1 for s in attrs["stride"]):
            raise ValueError(f"{op}: expected stride 1 with padding 'same', got stride == {attrs['stride']}")
        # The kernel pads both sides alike. An odd number of zeros is one too many in front, and so is the first output.
        totals = [d * (size - 1) for d, size in zip(attrs["dilation"], w.shape[2:])]
        attrs["padding"], cut = tuple((t + 1) // 2 for t in totals), tuple(t % 2 for t in totals)
    for i, (n, size, p, d) in enumerate(zip(x.shape[2:], w.shape[2:], attrs["padding"], attrs["dilation"])):
        if size < 1:
            raise ValueError(f"{op}: expected w.shape[{2 + i}] >= 1, got w.shape == {w.shape}")
        extent = d * (size - 1) + 1
        if n + 2 * p < extent:
            raise ValueError(
                f"{op}: expected x.shape[{2 + i}] + 2 padding >= {extent} (the extent of w.shape[{2 + i}] {size} with dilation {d}), "
                f"got x.shape == {x.shape} with padding {p}"
            )
    if dims == 1:
        attrs = {name: v if name == "groups" else (0 if name == "padding" else 1, *v) for name, v in attrs.items()}
    return attrs, cut


# ---- the three products and the sum, each differentiable -------------------------------------------------------------------------


def _forward(x: Tensor, w: Tensor, b: Tensor | None, attrs: Attrs, activation: str) -> Tensor:
    sizes = [
        (n + 2 * p - d * (size - 1) - 1) // s + 1
        for n, size, s, p, d in zip(x.shape[2:], w.shape[2:], attrs["stride"], attrs["padding"], attrs["dilation"])
    ]
    data = x.device.empty((x.shape[0], w.shape[0], *sizes), x.dtype, True)
    bias = None if b is None else b._data
    run_product(x.device, "conv2d_forward", data, x._data, w._data, bias, activation=activation, **attrs)
    inputs = (x, w) if b is None else (x, w, b)
    if activation == "none":
        return record("conv2d", data, inputs, _forward_backward, (x, w), attrs)  # type: ignore[no-any-return]
    return save_output(record("conv2d_relu", data, inputs, _relu_backward, (x, w), attrs))


def _forward_backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
    needs, (x, w), attrs = node.needs, node.saved[:2], node.context
    grads = (
        _backward_x(grad, w, x.shape, attrs) if needs[0] else None,
        _backward_w(x, grad, w._data, attrs) if needs[1] else None,
    )
    return grads if len(needs) == 2 else (*grads, _backward_b(grad) if needs[2] else None)


def _relu_backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
    return _forward_backward(node, fused_backward("relu", grad, saved_output(node), {}, None))


def _backward_x(grad_y: Tensor, w: Tensor, shape: tuple[int, ...], attrs: Attrs) -> Tensor:
    data = w.device.empty(shape, w.dtype, True)
    run_product(w.device, "conv2d_backward_x", data, grad_y._data, w._data, **attrs)
    return record("conv2d_backward_x", data, (grad_y, w), _backward_x_backward, (grad_y, w), attrs)  # type: ignore[no-any-return]


def _backward_x_backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
    needs, (grad_y, w), attrs = node.needs, node.saved, node.context
    return (
        _forward(grad, w, None, attrs, "none") if needs[0] else None,
        _backward_w(grad, grad_y, w._data, attrs) if needs[1] else None,
    )


def _backward_w(x: Tensor, grad_y: Tensor, like: Array, attrs: Attrs) -> Tensor:
    """The gradient in the shape and dimension order of the weights, for the optimizer to pass over both in one way."""
    data = x.device.empty(like.shape, x.dtype, like)
    run_product(x.device, "conv2d_backward_w", data, x._data, grad_y._data, **attrs)
    return record("conv2d_backward_w", data, (x, grad_y), _backward_w_backward, (x, grad_y), attrs)  # type: ignore[no-any-return]


def _backward_w_backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
    needs, (x, grad_y), attrs = node.needs, node.saved, node.context
    return (
        _backward_x(grad_y, grad, x.shape, attrs) if needs[0] else None,
        _forward(x, grad, None, attrs, "none") if needs[1] else None,
    )


def _backward_b(grad_y: Tensor) -> Tensor:
    data = grad_y.device.empty(grad_y.shape[1:2], grad_y.dtype)
    if is_sixteen_bit(data.dtype):
        run_rounded(grad_y.device, "conv2d_backward_b", data, grad_y._data)
    else:
        grad_y.device.kernels["conv2d_backward_b"](data, grad_y._data)
    return record("conv2d_backward_b", data, (grad_y,), _backward_b_backward, (), grad_y.shape)  # type: ignore[no-any-return]


def _backward_b_backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
    return (broadcast_to(reshape(grad, (-1, 1, 1)), node.context),)


__all__ = ["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d"]
