"""What the op table does not say of convolution: memory layout, empty dimensions, fusion, the adjoint."""

from __future__ import annotations

import numpy as np
import pytest
import whitewolf as ww
from whitewolf.ops.conv import conv1d, conv2d, conv_transpose2d


def normal(*shape: int, seed: int = 0, grad: bool = False) -> ww.Tensor:
    return ww.tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=grad)


def is_channels_last(x: ww.Tensor) -> bool:
    return bool(np.moveaxis(x.numpy(), 1, -1).flags.c_contiguous)


def test_outputs_and_input_gradients_are_channels_last_and_weight_gradients_lie_as_the_weights() -> None:
    x, w = normal(2, 5, 7, 6, grad=True), normal(4, 5, 3, 2, grad=True)
    y = conv2d(x, w)
    grad_x, grad_w = ww.grad(y.sum(), (x, w))
    assert is_channels_last(y) and is_channels_last(grad_x) and grad_w.numpy().flags.c_contiguous
    packed = ww.asarray(np.moveaxis(np.ascontiguousarray(np.moveaxis(w.numpy(), 1, -1)), -1, 1)).requires_grad_()
    assert is_channels_last(ww.grad(conv2d(x, packed).sum(), packed))
    assert is_channels_last(conv1d(normal(2, 5, 9), normal(4, 5, 3)))


@pytest.mark.parametrize("variant", ["naive", "implicit_gemm"])
def test_an_empty_sum_over_channels_is_the_bias(variant: str) -> None:
    b = ww.asarray(np.array([1.0, -2.0, 3.0]))
    with ww.kernels.use(conv2d=variant):
        y = conv2d(ww.zeros((2, 0, 4, 5), dtype="float64"), ww.zeros((3, 0, 2, 2), dtype="float64"), b, activation="relu")
        expected = np.broadcast_to(np.array([1.0, 0.0, 3.0])[:, None, None], (2, 3, 3, 4))
        np.testing.assert_array_equal(y.numpy(), expected)


@pytest.mark.parametrize("variant", ["naive", "implicit_gemm"])
def test_without_filters_the_gradient_of_the_input_is_zero(variant: str) -> None:
    x, w = normal(2, 3, 4, 5, grad=True), ww.zeros((0, 3, 2, 2), dtype="float64").requires_grad_()
    with ww.kernels.use(conv2d=variant):
        y = conv2d(x, w)
        grad_x, grad_w = ww.grad(y.sum(), (x, w))
    assert y.shape == (2, 0, 3, 4) and grad_w.shape == w.shape
    np.testing.assert_array_equal(grad_x.numpy(), np.zeros(x.shape))


def test_fused_relu_has_the_bits_and_gradients_of_relu_after_convolution() -> None:
    from whitewolf.ops.activation import relu

    x, w, b = normal(2, 3, 8, 7, grad=True), normal(5, 3, 3, 3, seed=1, grad=True), normal(5, seed=2, grad=True)
    grad = normal(2, 5, 8, 7, seed=3)
    fused, composed = conv2d(x, w, b, padding=1, activation="relu"), relu(conv2d(x, w, b, padding=1))
    np.testing.assert_array_equal(fused.numpy(), composed.numpy())
    for a, e in zip(ww.grad(fused, (x, w, b), grad), ww.grad(composed, (x, w, b), grad)):
        np.testing.assert_array_equal(a.numpy(), e.numpy())


def test_fused_relu_has_gradient_zero_where_the_sum_is_zero() -> None:
    x, w = ww.zeros((1, 1, 3, 3), requires_grad=True), ww.ones((1, 1, 2, 2))
    (grad,) = ww.grad(conv2d(x, w, activation="relu").sum(), (x,))
    np.testing.assert_array_equal(grad.numpy(), np.zeros((1, 1, 3, 3)))


def test_transposed_convolution_is_the_adjoint() -> None:
    x, w = normal(2, 6, 9, 8), normal(4, 3, 3, 2, seed=1)
    attrs = {"stride": (2, 3), "padding": (1, 0), "dilation": (1, 2), "groups": 2}
    y = conv2d(x, w, **attrs)
    u = normal(*y.shape, seed=2)
    left_over = tuple((n + 2 * p - d * (size - 1) - 1) % s for n, size, s, p, d in zip((9, 8), (3, 2), (2, 3), (1, 0), (1, 2)))
    back = conv_transpose2d(u, w, output_padding=left_over, **attrs)
    assert back.shape == x.shape
    assert (y * u).sum().item() == pytest.approx((x * back).sum().item(), rel=1e-12)


def test_third_derivatives_exist() -> None:
    x, w = normal(1, 2, 5, 5, grad=True), normal(3, 2, 3, 3, seed=1, grad=True)
    first = ww.grad((conv2d(x, w, padding=1) ** 3).sum(), x, create_graph=True)
    second = ww.grad((first**2).sum(), w, create_graph=True)
    third = ww.grad((second * normal(*w.shape, seed=2)).sum(), x)
    step, direction = 1e-5, normal(*x.shape, seed=3)

    def at(t: float) -> float:
        moved = (x.detach() + direction * t).requires_grad_()
        first = ww.grad((conv2d(moved, w, padding=1) ** 3).sum(), moved, create_graph=True)
        return float((ww.grad((first**2).sum(), w) * normal(*w.shape, seed=2)).sum().item())

    assert (third * direction).sum().item() == pytest.approx((at(step) - at(-step)) / (2 * step), rel=1e-6)


@pytest.mark.parametrize("layout", ["planes", "channels last"])
@pytest.mark.parametrize(("channels", "filters"), [(1, 20), (3, 7), (17, 33), (20, 50)])
def test_relu_and_bias_in_the_kernel_are_those_of_the_ops_in_every_variant(layout: str, channels: int, filters: int) -> None:
    x, w, b = (normal(*shape, seed=i) for i, shape in enumerate([(2, channels, 9, 11), (filters, channels, 3, 3), (filters,)]))
    if layout == "channels last":
        x = ww.asarray(np.moveaxis(np.ascontiguousarray(np.moveaxis(x.numpy(), 1, -1)), -1, 1))
    expected = np.maximum(conv2d(x, w, b, padding=1).numpy(), 0)
    for variant in {row["variant"] for row in ww.kernels.list("conv2d_forward", "cpu")} - {"depthwise"}:
        try:
            with ww.kernels.use(conv2d=variant):
                y = conv2d(x, w, b, padding=1, activation="relu")
        except ValueError as error:
            assert f"that variant '{variant}' accepts" in str(error)
            continue
        np.testing.assert_allclose(y.numpy(), expected, rtol=0, atol=1e-12)
