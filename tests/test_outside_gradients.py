"""HIPS autograd's `check_grads` over our functions: it differentiates them, and their derivatives, by its own finite differences.

An op of ours becomes a primitive of autograd whose vector-Jacobian product is our `ww.grad`, itself such a primitive: so autograd's
second order goes through our `create_graph`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import nn
from whitewolf.nn import functional as F

pytest.importorskip("autograd", reason="HIPS autograd is not installed")

from autograd.extend import defvjp, primitive
from autograd.test_util import check_grads

Function = Callable[..., ww.Tensor]


def lifted(function: Function, name: str) -> Any:
    """A function of tensors as a primitive of autograd, over arrays."""

    def on_arrays(*arrays: Any) -> Any:
        return np.array(function(*(ww.tensor(np.asarray(a, "f8")) for a in arrays)).numpy())

    on_arrays.__name__ = name
    found = primitive(on_arrays)

    def product(argument: int) -> Any:
        def gradient(cotangent: ww.Tensor, *tensors: ww.Tensor) -> ww.Tensor:
            inputs = [t if t.requires_grad else t.detach().requires_grad_() for t in tensors]
            with ww.enable_grad():
                y = function(*inputs)
                if not y.requires_grad:
                    return inputs[argument] * 0
                # By the tensors that came in where they require grad: an outer graph must see what it is differentiated by.
                found = ww.grad(y, inputs[argument], cotangent, create_graph=True, allow_unused=True)
            return inputs[argument] * 0 if found is None else found

        def lifted_gradient(answer: Any, *arrays: Any) -> Any:
            return lambda cotangent: lifted(gradient, f"grad of {name}")(cotangent, *arrays)

        return lifted_gradient

    # autograd asks how many arguments there are when it sees them.
    defvjp(found, *(product(i) for i in range(3)), argnums=range(3))
    return found


rng = np.random.default_rng(0)


def apart(*shape: int) -> Any:
    """No two elements closer than 0.05, none near 0, some of either sign: far from the kinks."""
    n = int(np.prod(shape))
    return ((rng.permutation(n) - n // 2 + 0.5) * (1.7 / max(n / 2, 1))).reshape(shape)


def positive(*shape: int) -> Any:
    return rng.uniform(0.3, 1.5, shape)


UNARY = {
    **{n: apart for n in ("exp", "expm1", "sin", "cos", "tanh", "sinh", "cosh", "atan", "asinh", "erf", "square", "abs", "exp2")},
    **{n: positive for n in ("log", "log1p", "log2", "log10", "sqrt", "rsqrt", "reciprocal")},
    **{n: (lambda *s: rng.uniform(-0.8, 0.8, s)) for n in ("asin", "acos", "atanh", "tan")},
}  # fmt: skip

CASES: dict[str, tuple[Function, list[Any]]] = {
    **{name: (getattr(ww, name), [draw(2, 3)]) for name, draw in UNARY.items()},
    "multiply": (ww.multiply, [apart(2, 3), apart(3)]),
    "divide": (ww.divide, [apart(2, 1), positive(2, 3)]),
    "pow": (ww.pow, [positive(2, 3), apart(3)]),
    "maximum": (ww.maximum, [apart(2, 3), apart(2, 3) + 0.01]),
    "atan2": (ww.atan2, [apart(2, 3), positive(3)]),
    "hypot": (ww.hypot, [apart(2, 3), positive(3)]),
    "logaddexp": (ww.logaddexp, [apart(2, 3), apart(2, 1)]),
    "matmul": (ww.matmul, [apart(2, 3, 4), apart(4, 2)]),
    "tensordot": (lambda a, b: ww.tensordot(a, b, axes=((0, 1), (1, 0))), [apart(2, 3, 2), apart(3, 2, 2)]),
    "sum": (lambda x: ww.sum(x, axis=1), [apart(2, 3)]),
    "mean": (lambda x: ww.mean(x, axis=0, keepdims=True), [apart(2, 3)]),
    "prod": (lambda x: ww.prod(x, axis=1), [positive(2, 3)]),
    "max": (lambda x: ww.max(x, axis=1), [apart(2, 3)]),
    "var": (lambda x: ww.var(x, axis=1, correction=1), [apart(2, 4)]),
    "std": (lambda x: ww.std(x, axis=1), [apart(2, 4)]),
    "logsumexp": (lambda x: ww.logsumexp(x, axis=1), [apart(2, 3)]),
    "cumulative_sum": (lambda x: ww.cumulative_sum(x, axis=1), [apart(2, 3)]),
    "cumulative_prod": (lambda x: ww.cumulative_prod(x, axis=1), [positive(2, 3)]),
    "sort": (lambda x: ww.sort(x, axis=1), [apart(2, 3)]),
    "getitem": (lambda x: x[ww.asarray([0, 1, 0]), 1:], [apart(2, 3)]),
    "where": (lambda x, y: ww.where(x > 0, x * x, y), [apart(2, 3), apart(3)]),
    "clip": (lambda x: ww.clip(x, -0.5, 0.5), [apart(2, 3)]),
    "concat": (lambda a, b: ww.concat([a, b * b], axis=1), [apart(2, 3), apart(2, 1)]),
    "roll and flip": (lambda x: ww.roll(ww.flip(x, axis=0), 1, axis=1), [apart(2, 3)]),
    "take_along_axis": (lambda x: ww.take_along_axis(x, ww.asarray([[0, 0], [2, 1]]), axis=1), [apart(2, 3)]),
    "scatter_add": (lambda x, s: ww.scatter_add(x, 1, ww.asarray([[0, 0], [2, 1]]), s * s), [apart(2, 3), apart(2, 2)]),
    **{name: (getattr(F, name), [apart(2, 4)]) for name in (
        "relu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign", "logsigmoid", "tanhshrink", "sigmoid", "leaky_relu",
        "hardtanh", "hardswish", "softshrink", "glu")},
    "softmax": (lambda x: F.softmax(x, 1), [apart(2, 4)]),
    "log_softmax": (lambda x: F.log_softmax(x, 1), [apart(2, 4)]),
    "linear": (F.linear, [apart(2, 3), apart(2, 3), apart(2)]),
    "bilinear": (F.bilinear, [apart(2, 3), apart(2, 2), apart(2, 3, 2)]),
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1), [apart(1, 2, 4, 3), apart(2, 2, 2, 3), apart(2)]),
    "conv_transpose2d": (lambda x, w: F.conv_transpose2d(x, w, stride=2), [apart(1, 2, 2, 3), apart(2, 1, 2, 2)]),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2, 1), [apart(1, 1, 3, 4)]),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 2, 1, 1), [apart(1, 1, 3, 4)]),
    "lp_pool2d": (lambda x: F.lp_pool2d(x, 3, 2), [positive(1, 1, 4, 4)]),
    "interpolate": (lambda x: F.interpolate(x, size=(3, 5), mode="bicubic"), [apart(1, 1, 4, 3)]),
    "pad": (lambda x: F.pad(x, (1, 2), "reflect"), [apart(2, 4)]),
    "unfold": (lambda x: F.unfold(x, 2), [apart(1, 1, 3, 3)]),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, 4, w, b), [apart(3, 4), apart(4), apart(4)]),
    "rms_norm": (lambda x, w: F.rms_norm(x, 4, w), [apart(3, 4), apart(4)]),
    "batch_norm": (lambda x, w: F.batch_norm(x, None, None, w, training=True), [apart(4, 2), apart(2)]),
    "group_norm": (lambda x: F.group_norm(x, 2), [apart(2, 4, 3)]),
    "local_response_norm": (lambda x: F.local_response_norm(x, 3, 0.5), [apart(1, 4, 2)]),
    "cross_entropy": (lambda x: F.cross_entropy(x, ww.asarray([2, 0]), label_smoothing=0.1), [apart(2, 3)]),
    "binary_cross_entropy_with_logits": (lambda x: F.binary_cross_entropy_with_logits(x, x.detach() * 0 + 0.3), [apart(2, 3)]),
    "smooth_l1_loss": (lambda x, t: F.smooth_l1_loss(x, t, reduction="sum"), [apart(2, 3), apart(2, 3) * 0.37]),
    "cosine_similarity": (F.cosine_similarity, [apart(2, 3), positive(2, 3)]),
    "normalize": (lambda x: F.normalize(x, 3.0), [apart(2, 3)]),
    "embedding": (lambda w: F.embedding(ww.asarray([2, 0, 2]), w) ** 2, [apart(3, 2)]),
    "scaled_dot_product_attention": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), [apart(3, 2), apart(3, 2), apart(3, 2)]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_autograd_s_finite_differences_find_our_first_and_second_derivatives(name: str) -> None:
    function, arguments = CASES[name]
    np.random.seed(0)  # autograd draws its directions from NumPy's own stream
    check_grads(lifted(function, name), modes=["rev"], order=2)(*arguments)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_recurrent_layers_too(kind: str) -> None:
    net = getattr(nn, kind)(2, 3).to("float64")
    np.random.seed(0)
    check_grads(lifted(lambda x: net(x)[0], kind), modes=["rev"], order=2)(apart(3, 2, 2))


def test_a_wrong_derivative_is_found() -> None:
    class Wrong(ww.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: ww.Tensor) -> ww.Tensor:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, grad: ww.Tensor) -> ww.Tensor:
            return grad * ctx.saved_tensors[0] * 1.999

    with pytest.raises(AssertionError, match="Derivative"):
        check_grads(lifted(Wrong.apply, "wrong"), modes=["rev"], order=1)(apart(2, 3))
