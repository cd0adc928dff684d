"""Functions of one's own, and the checks of gradients."""

from __future__ import annotations

from typing import Any

import pytest
import whitewolf as ww
from whitewolf.autograd import Function, gradcheck, gradgradcheck


def leaf(*values: float, dtype: str = "float64") -> ww.Tensor:
    return ww.tensor(list(values), dtype=dtype, requires_grad=True)


# ---- Function ------------------------------------------------------------------------------------------------------------------


class Scale(Function):
    """x * k, with k plain."""

    @staticmethod
    def forward(ctx: Any, x: ww.Tensor, k: float) -> ww.Tensor:
        ctx.k = k
        return x * k

    @staticmethod
    def backward(ctx: Any, grad: ww.Tensor) -> tuple[ww.Tensor, None]:
        return grad * ctx.k, None


class Product(Function):
    """a * b and a + b."""

    @staticmethod
    def forward(ctx: Any, a: ww.Tensor, b: ww.Tensor) -> tuple[ww.Tensor, ww.Tensor]:
        ctx.save_for_backward(a, b)
        return a * b, a + b

    @staticmethod
    def backward(ctx: Any, product: ww.Tensor | None, total: ww.Tensor | None) -> tuple[ww.Tensor, ww.Tensor]:
        a, b = ctx.saved_tensors
        zero = ww.zeros_like(a)
        product, total = zero if product is None else product, zero if total is None else total
        return product * b + total, product * a + total


def test_a_function_of_one_s_own() -> None:
    x = leaf(1, 2)
    Scale.apply(x, 3.0).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [3, 3]
    gradcheck(lambda t: Scale.apply(t, 3.0) * t, x)


def test_a_function_with_several_outputs_and_second_derivatives() -> None:
    a, b = leaf(1, 2), leaf(3, 4)
    gradcheck(Product.apply, (a, b))
    gradgradcheck(Product.apply, (a, b))


def test_a_function_s_saved_tensor_that_was_overwritten_is_an_error() -> None:
    a, b = leaf(1, 2), ww.tensor([3.0, 4.0], dtype="float64")
    y, _ = Product.apply(a, b)
    b[0] = 0.0
    with pytest.raises(ww.StaleTensorError, match="Product"):
        y.sum().backward()


def test_a_function_that_returns_its_input_still_records() -> None:
    class Identity(Function):
        @staticmethod
        def forward(ctx: Any, x: ww.Tensor) -> ww.Tensor:
            return x

        @staticmethod
        def backward(ctx: Any, grad: ww.Tensor) -> ww.Tensor:
            return grad * 2.0

    x = leaf(1.0)
    y = Identity.apply(x)
    y.sum().backward()
    assert y is not x and x.grad is not None and x.grad.item() == 2


def test_a_function_that_answers_wrongly_is_named() -> None:
    class TooFew(Product):
        @staticmethod
        def backward(ctx: Any, product: Any, total: Any) -> Any:
            return product

    class WrongShape(Scale):
        @staticmethod
        def backward(ctx: Any, grad: ww.Tensor) -> Any:
            return grad.sum(), None

    class NoTensor(Scale):
        @staticmethod
        def forward(ctx: Any, x: ww.Tensor, k: float) -> Any:
            return 3.0

    with pytest.raises(ValueError, match="TooFew: expected backward to return 2 gradients.*got 1"):
        TooFew.apply(leaf(1.0), leaf(1.0))[0].sum().backward()
    with pytest.raises(ValueError, match=r"WrongShape: expected gradient 0 of shape \(2,\), got \(\)"):
        WrongShape.apply(leaf(1, 2), 2.0).sum().backward()
    with pytest.raises(TypeError, match="NoTensor: expected forward to return a Tensor or a tuple of them, got float"):
        NoTensor.apply(leaf(1.0), 2.0)


# ---- gradcheck -----------------------------------------------------------------------------------------------------------------


def test_gradcheck_catches_a_wrong_backward() -> None:
    class Wrong(Scale):
        @staticmethod
        def backward(ctx: Any, grad: ww.Tensor) -> tuple[ww.Tensor, None]:
            return grad * (ctx.k * 1.001), None

    with pytest.raises(AssertionError, match="gradcheck: direction 0: differences give .*, backward gives"):
        gradcheck(lambda t: Wrong.apply(t, 3.0), leaf(1, 2, 3))


def test_gradcheck_catches_a_gradient_at_the_wrong_place() -> None:
    class Swapped(Scale):
        @staticmethod
        def backward(ctx: Any, grad: ww.Tensor) -> tuple[ww.Tensor, None]:
            return ww.flip(grad) * ctx.k, None

    with pytest.raises(AssertionError):
        gradcheck(lambda t: Swapped.apply(t, 3.0), leaf(1, 2, 3))


def test_gradgradcheck_catches_a_backward_that_is_no_graph() -> None:
    class Detached(Function):
        @staticmethod
        def forward(ctx: Any, x: ww.Tensor) -> ww.Tensor:
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx: Any, grad: ww.Tensor) -> ww.Tensor:
            (x,) = ctx.saved_tensors
            return grad * (x * x * 3.0).detach()

    gradcheck(Detached.apply, leaf(1, 2))
    with pytest.raises(AssertionError):
        gradgradcheck(Detached.apply, leaf(1, 2))


def test_gradcheck_asks_for_float64_and_for_something_to_check() -> None:
    with pytest.raises(TypeError, match=r"gradcheck: expected inputs\[0\].dtype == float64, got float32"):
        gradcheck(lambda x: x * x, leaf(1, 2, dtype="float32"))
    with pytest.raises(ValueError, match="expected inputs of which one requires grad"):
        gradcheck(lambda x: x * x, ww.zeros(2, dtype="float64"))
    with pytest.raises(AssertionError, match="no output requires grad"):
        gradcheck(lambda x: x.detach(), leaf(1, 2))
