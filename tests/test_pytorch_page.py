"""docs/pytorch.md: what it says of PyTorch and of us gives the same; PyTorch's names that we have besides compute what PyTorch's do."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import _pytorch
from whitewolf.ops import _pytorch_methods

PAGE = Path(__file__).resolve().parents[1] / "docs" / "pytorch.md"
ROWS = re.findall(r"^\| `(.+?)` \| `(.+?)` \|", PAGE.read_text(encoding="utf-8"), re.M) if PAGE.is_file() else []


def given(make: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    arrays = {"x": rng.standard_normal((4, 4)), "v": rng.standard_normal(3), "i": rng.integers(0, 3, (2, 3)), "m": rng.random((4, 4)) < 0.5,
              "c": np.array([2, 0, 1, 2])}  # fmt: skip
    return {name: make(a) for name, a in arrays.items()}


def same(a: Any, b: Any) -> bool:
    if isinstance(a, (tuple, list)) and not isinstance(b, tuple | list):
        return False
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(same(p, q) for p, q in zip(a, b))
    if str(a).startswith("torch."):  # dtypes
        return str(a) == f"torch.{b}"
    if not hasattr(a, "dtype"):
        return a == b
    return np.array_equal(np.asarray(a.detach()), np.asarray(b)) or np.allclose(
        np.asarray(a.detach()), np.asarray(b), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize(("theirs", "ours"), ROWS)
def test_each_row_gives_the_same_in_both(theirs: str, ours: str) -> None:
    found = eval(ours, {"ww": ww} | given(ww.asarray))  # the page's own words
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    assert same(eval(theirs, {"torch": torch} | given(torch.from_numpy)), found)


def test_the_page_is_read() -> None:
    assert not PAGE.is_file() or len(ROWS) > 25


# Arguments for PyTorch's names in the top namespace: those that are not one or two matrices.
ARGUMENTS = {
    "cat": "[x, x], dim=1", "cumsum": "x, 1", "cumprod": "x, dim=0", "amax": "x, (0, 1), keepdim=True", "amin": "x, 1", "unbind": "x, dim=1",
    "clamp": "x, -0.5, 0.5", "softmax": "x, 1", "log_softmax": "x, dim=0", "movedim": "x, 0, 1", "permute": "x, (1, 0)", "swapaxes": "x, 0, 1",
    "swapdims": "x, 0, 1", "mv": "x, x[0]", "bmm": "x[None], x[None]", "bitwise_not": "i", "arccosh": "abs(x) + 1", "arctan2": "x, x.T",
    "as_tensor": "x.tolist(), dtype=torch.float64", "from_numpy": "x.numpy()", "dropout": "x, 0.5, False", "dot": "v, v", "outer": "v, v", "addmm": "x, x, x.T, beta=0.5, alpha=2", "lerp": "x, x.T, 0.25",
    "repeat_interleave": "x, 2, dim=1", "take_along_dim": "x[:2], i, dim=1", "argwhere": "i", "masked_select": "x, m", "broadcast_tensors": "x, x[0]", "cosine_similarity": "x, x.T, dim=0",
    "arccos": "x / 4", "arcsin": "x / 4", "arctanh": "x / 4",
}  # fmt: skip
DTYPES = {"double", "float", "half", "int", "long"}
RANDOM = {"rand", "randn", "randint", "rand_like", "randn_like", "randperm", "bernoulli"}
TWO = {"div", "eq", "ge", "gt", "le", "lt", "mm", "mul", "ne", "sub", "true_divide"}


@pytest.mark.parametrize("name", sorted({*_pytorch.SAME, *_pytorch.OURS} - RANDOM - DTYPES - {"inference_mode"}))
def test_pytorch_s_names_compute_what_pytorch_s_do(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    call = f"f({ARGUMENTS.get(name, 'x, x.T' if name in TWO else 'x')})"
    found = eval(call.replace("torch.", "ww."), {"f": getattr(ww, name), "ww": ww} | given(ww.asarray))
    assert same(eval(call, {"f": getattr(torch, name), "torch": torch} | given(torch.from_numpy)), found)


def test_random_names_take_pytorch_s_arguments() -> None:
    assert ww.rand(2, 3).shape == ww.rand((2, 3)).shape == ww.randn(2, 3).shape == ww.rand_like(ww.ones((2, 3))).shape == (2, 3)
    assert (
        ww.randn(2, dtype="float64", requires_grad=True).requires_grad
        and ww.randn_like(ww.ones(2, dtype="float64")).dtype == ww.float64
    )
    assert set(ww.randint(2, 4, (50,)).tolist()) == {2, 3} and set(ww.randint(2, (50,)).tolist()) == {0, 1}
    assert sorted(ww.randperm(4).tolist()) == [0, 1, 2, 3]
    assert [getattr(ww, n) for n in sorted(DTYPES)] == [ww.float64, ww.float32, ww.float16, ww.int32, ww.int64]
    x = ww.zeros(1000)
    assert x.uniform_(2, 3) is x and 2 <= ww.min(x).item() < 2.1 < 2.9 < ww.max(x).item() < 3
    assert x.normal_(5, 0.1) is x and abs(ww.mean(x).item() - 5) < 0.1 and 0.05 < ww.std(x).item() < 0.2
    with ww.inference_mode():
        assert not ww.is_grad_enabled()
    for call, text in (
        (lambda: ww.randn(-1), "size|shape"),
        (lambda: ww.cat(3), "tensors"),
        (lambda: ww.rand(2, dtype="int8"), "dtype"),
    ):
        with pytest.raises((ValueError, TypeError), match=rf"(randn|cat|rand): .*({text})"):
            call()


@pytest.mark.parametrize("name", _pytorch.ABSENT)
def test_an_absent_name_says_what_to_use(name: str) -> None:
    with pytest.raises(AttributeError, match=re.escape(f"module 'whitewolf' has no attribute '{name}'; ")):
        getattr(ww, name)
    assert not hasattr(ww, name) and not hasattr(ww, "no_such_name")


def test_layers_over_three_dimensions_are_said_to_be_absent() -> None:
    with pytest.raises(AttributeError, match="module 'whitewolf.nn' has no attribute 'Conv3d'; windows slide along one or two"):
        ww.nn.Conv3d  # noqa: B018  # to ask for it is the test
    assert not hasattr(ww.nn, "no_such_layer")


@pytest.mark.parametrize("name", _pytorch_methods.ABSENT)
def test_an_absent_method_says_what_to_use(name: str) -> None:
    with pytest.raises(AttributeError, match=re.escape(f"Tensor has no attribute '{name}'; ")):
        getattr(ww.ones(2), name)
    assert not hasattr(ww.ones(2), name)


METHODS = {
    "add_": "x * 2, alpha=0.5", "sub_": "x * x, alpha=2", "mul_": "x + 1", "div_": "2", "pow_": "2", "clamp_": "-0.5, max=0.5", "clip_": "0.1, 0.2",
    "masked_fill_": "m, 7.0", "copy_": "x[0].float()", "fill_": "2.5", "new_zeros": "2, 3", "new_ones": "(2, 3)", "new_full": "(2,), 1.5",
    "new_tensor": "[1, 2]", "cumsum": "1", "unbind": "1", "swapaxes": "0, 1", "tile": "(2, 1)", "type_as": "i", "maximum": "x.T", "minimum": "x.T",
    "atan2": "x.T", "floor_divide": "x.T", "remainder": "x.T", "allclose": "x", "equal": "x", "movedim": "0, 1", "moveaxis": "0, 1", "cumprod": "1", "softmax": "dim=1",
    "log_softmax": "0", "flip": "0, 1", "roll": "1, 0", "tril": "-1", "triu": "1", "where": "m, 0.5", "view_as": "x[None]", "reshape_as": "x[None]", "expand_as": "x[None] * 0",
    "scatter_": "1, i, 2.0", "scatter_add_": "1, i, x[:2, :3] * 2", "index_add_": "0, c, x * 2",
    "clamp": "min=0.1", "amax": "1", "amin": "0", "mv": "x[0]", "bmm": "x.T",
}  # fmt: skip
BINARY = {
    "multiply",
    "subtract",
    "divide",
    "true_divide",
    "add",
    "sub",
    "mul",
    "div",
    "matmul",
    "mm",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
}
DIRECT = {
    "bmm": "x[None].bmm(x.T[None])",
    "logical_not": "m.logical_not()",
    **{n: f"m.{n}(m.T)" for n in ("logical_and", "logical_or", "logical_xor")},
    **{n: f"(x / 4).{n}()" for n in ("asin", "acos")},
    "bfloat16": "x.bfloat16().float()",
}


@pytest.mark.parametrize(
    "name",
    sorted({*_pytorch_methods.methods()} - {*_pytorch_methods.ABSENT} - {"cuda", "new_empty", "data", "to", "uniform_", "normal_"}),
)
def test_methods_of_pytorch_s_names_do_what_pytorch_s_do(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    positive = name.rstrip("_") in ("log", "log2", "log10", "sqrt", "rsqrt", "log1p")
    call = DIRECT.get(name, f"{'(x * x + 1)' if positive else 'x'}.{name}({METHODS.get(name, 'x.T' if name in BINARY else '')})")
    mine, theirs = given(ww.asarray), given(torch.from_numpy)
    assert same(eval(call, theirs), eval(call, mine))
    assert same(theirs["x"], mine["x"])  # written to, or not


def test_methods_take_pytorch_s_dim_where_it_means_the_same() -> None:
    x = ww.asarray([[1.0, 5.0], [3.0, 2.0]])
    for name in _pytorch_methods.BY_DIM:
        method = getattr(x[None] if name == "squeeze" else x, name)
        more = {"split": (1,), "chunk": (2,)}.get(name, ())
        dim = 0 if name == "squeeze" else 1
        found, wanted = method(*more, dim=dim), method(*more, axis=dim)
        assert [t.tolist() for t in found] == [t.tolist() for t in wanted], name
    assert x.sum(dim=1, keepdim=True).tolist() == [[6], [5]] and x.sum(1).tolist() == [6, 5]
    for name in _pytorch_methods.NO_DIM:
        with pytest.raises(TypeError, match=f"{name}: expected axis, .*got dim"):
            getattr(x, name)(dim=1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'dims'"):
        x.sum(dims=1)


def test_to_takes_a_device_a_dtype_both_or_a_tensor() -> None:
    x = ww.ones(2)
    assert x.to("cpu") is x and x.to(dtype=ww.float32, device="cpu") is x and x.device.type == "cpu"
    for y in (x.to("cpu", ww.float64), x.to("cpu", dtype="float64"), x.to(ww.zeros(1, dtype="float64")), x.to(dtype="float64")):
        assert y.dtype == ww.float64 and y.tolist() == [1, 1]
    with pytest.raises(TypeError, match="to: expected targets, a device, a dtype or a tensor, got none"):
        x.to()


def test_methods_in_place_return_their_tensor_and_take_part_in_a_graph() -> None:
    x = ww.tensor([0.5, 2.0], requires_grad=True)
    y = x * 1
    assert y.add_(x, alpha=3).mul_(2).clamp_(0, 10) is y
    y.sum().backward()
    assert x.grad.tolist() == [8, 0]  # the second is at its bound
    with ww.no_grad():
        x.copy_(ww.asarray([1, 2])).sub_(1.0).zero_()
    assert x.tolist() == [0, 0] and x.data.tolist() == [0, 0] and not x.data.requires_grad
    with pytest.raises(AttributeError, match="expected no assignment to x.data"):
        x.data = y
    for method in ("zero_", "fill_", "copy_"):
        with pytest.raises(ValueError, match="a leaf"):
            getattr(x, method)(*[y] * (method == "copy_"), *[1.0] * (method == "fill_"))


def test_each_method_is_declared_for_type_checkers() -> None:
    text = Path(inspect.getfile(ww._methods)).read_text(encoding="utf-8")
    assert [
        n
        for n in _pytorch_methods.methods()
        if n not in _pytorch_methods.ABSENT and not re.search(rf"\b(def {n}\(|{n}: Tensor)", text)
    ] == []
