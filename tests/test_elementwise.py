"""ww.elementwise: values, dtypes, layouts, derivatives and errors of ops made from scalar functions."""

from __future__ import annotations

import copy
import importlib.util
import math
import os
import pickle
import runpy
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf.elementwise import Elementwise
from whitewolf.fused import blocks

F = ww.nn.functional
HALF = 0.5

if importlib.util.find_spec("numba") is None:
    pytest.skip("numba is not installed: pip install numba", allow_module_level=True)


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHITEWOLF_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


def numbers(*shape: int, dtype: str = "float64", seed: int = 0, low: float = -2, high: float = 2) -> ww.Tensor:
    return ww.asarray(np.random.default_rng(seed).uniform(low, high, shape).astype(dtype))


def wants_grad(x: ww.Tensor) -> ww.Tensor:
    return ww.tensor(x.numpy(), dtype=x.dtype, requires_grad=True)


@ww.elementwise
def gate(x: Any, y: Any, z: Any) -> Any:
    return x / (1 + math.exp(-y)) + z


def composed_gate(x: Any, y: Any, z: Any) -> Any:
    return x / (1 + ww.exp(-y)) + z


@ww.elementwise
def all_of_one(x: Any) -> Any:
    total = math.exp(x) + ww.exp2(x) + math.expm1(x) + np.log(x) + ww.log2(x) + math.log10(x) + math.log1p(x)
    total += math.sin(x) + np.cos(x) + math.tan(x) + np.arcsin(x) + ww.acos(x) + math.atan(x)
    total += math.sinh(x) + np.cosh(x) + ww.tanh(x) + np.arcsinh(x) + math.acosh(x + 1.5) + ww.atanh(x)
    total += math.sqrt(x) + math.erf(x) + F.sigmoid(x) + abs(x) + ww.rsqrt(x) + ww.reciprocal(x) + np.square(x) + F.relu(x)
    return total + ww.sign(x) + np.floor(x) + math.ceil(x) + math.trunc(x) + round(x) - (+x) ** 3


def composed_of_one(x: ww.Tensor) -> ww.Tensor:
    total = ww.exp(x) + ww.exp2(x) + ww.expm1(x) + ww.log(x) + ww.log2(x) + ww.log10(x) + ww.log1p(x)
    total = total + (ww.sin(x) + ww.cos(x) + ww.tan(x) + ww.asin(x) + ww.acos(x) + ww.atan(x))
    total = total + (ww.sinh(x) + ww.cosh(x) + ww.tanh(x) + ww.asinh(x) + ww.acosh(x + 1.5) + ww.atanh(x))
    total = total + (
        ww.sqrt(x) + ww.erf(x) + F.sigmoid(x) + ww.abs(x) + 1 / ww.sqrt(x) + 1 / x + x * x + F.relu(x)
    )  # fmt: skip
    return total + ww.sign(x) + ww.floor(x) + ww.ceil(x) + ww.trunc(x) + ww.round(x) - x * x * x


@ww.elementwise
def all_of_two(a: Any, b: Any) -> Any:
    total = a**b + a**2.5 + a**-2 + ww.maximum(a, b) + min(a, b, 0.7) + math.atan2(a, b) + math.hypot(a, b)
    return total + math.copysign(a, b) + a % b + a // b + ww.logaddexp(a, b) + np.power(b, a)


def composed_of_two(a: ww.Tensor, b: ww.Tensor) -> ww.Tensor:
    total = a**b + a**2.5 + 1 / (a * a) + ww.maximum(a, b) + ww.minimum(ww.minimum(a, b), 0.7) + ww.atan2(a, b) + ww.hypot(a, b)
    return total + ww.copysign(a, b) + a % b + a // b + ww.logaddexp(a, b) + b**a


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("fused", "composed", "inputs"),
    [(gate, composed_gate, 3), (all_of_one, composed_of_one, 1), (all_of_two, composed_of_two, 2)],
    ids=["gate", "one", "two"],
)
def test_values_are_bit_for_bit_those_of_the_ops(fused: Any, composed: Any, inputs: int, dtype: str) -> None:
    given = [numbers(3, 701, dtype=dtype, seed=i, low=0.05, high=0.95) for i in range(inputs)]
    np.testing.assert_array_equal(fused(*given).numpy(), composed(*given).numpy())


@pytest.mark.parametrize(("fused", "inputs"), [(gate, 3), (all_of_one, 1), (all_of_two, 2)], ids=["gate", "one", "two"])
def test_first_and_second_derivatives(fused: Any, inputs: int) -> None:
    given = [wants_grad(numbers(2, 3, seed=i, low=0.15, high=0.45)) for i in range(inputs)]
    assert ww.autograd.gradcheck(fused, given) and ww.autograd.gradgradcheck(fused, given)


def test_third_derivatives() -> None:
    x = wants_grad(numbers(5))
    y, order = ww.elementwise(quintic)(x), 0
    for order, factor in enumerate((5, 20, 60), 1):
        (y,) = (ww.grad(y.sum(), x, create_graph=True),)
        np.testing.assert_allclose(y.numpy(), factor * x.numpy() ** (5 - order) + (order == 1), rtol=1e-12)


def quintic(x: Any) -> Any:
    square = x * x
    return square * square * x + helper(x)


def helper(x: Any) -> Any:  # read in its place
    return 1 + shifted(x) - 1 if x > 0 else shifted(x)


@ww.elementwise
def shifted(x: Any) -> Any:
    return x + 0


def branches(x: Any, y: Any) -> Any:
    """Of every kind."""
    low, high = -HALF, HALF
    if not low <= x <= high:
        x = math.copysign(1, x)
        scale: float = 2
    elif x > y or y != y:
        return y * y
    else:
        scale = 3
    inside = y > 0 and (x > 0 or y < 1)
    if inside:
        if x > 0.25:
            return scale * x
        inside = False
    else:
        inside = x < -1
    return (math.sin(x) if y < 0 else x * y) * scale + (1 if inside else 0)


def test_branches_are_pythons() -> None:
    op = ww.elementwise(branches)
    x, y = numbers(400, seed=1), numbers(400, seed=2)
    expected = [branches(a, b) for a, b in zip(x.numpy().tolist(), y.numpy().tolist())]
    np.testing.assert_allclose(op(x, y).numpy(), expected, rtol=1e-15)
    assert len({round(v, 9) for v in expected}) > 100
    assert ww.autograd.gradcheck(op, [wants_grad(x), wants_grad(y)])


def test_a_branch_that_is_not_taken_has_no_part_in_value_and_gradient() -> None:
    x = ww.tensor([-1.0, 0.0, 4.0, math.inf], requires_grad=True)
    y = ww.elementwise(safe_root)(x)
    y.sum().backward()
    np.testing.assert_array_equal(y.numpy(), np.array([1, 1, 2, math.inf], "f4"))
    np.testing.assert_array_equal(x.grad.numpy(), np.array([0, 0, 0.25, 0], "f4"))


def safe_root(x: Any) -> Any:
    return math.sqrt(x) if x > 0 else 1


def larger(x: Any, y: Any) -> Any:
    return ww.maximum(x, y)


def smaller(x: Any, y: Any) -> Any:
    return min(x, y)


def nothing(x: Any, y: Any) -> Any:
    return 0 * x + 0 * y + (0 if math.isfinite(x) or math.isinf(x) or math.isnan(x) else 5)


def test_nan_is_carried() -> None:
    x, y = ww.asarray(np.array([math.nan, 1, math.inf, 2], "f4")), ww.asarray(np.array([1, math.nan, 0, 3], "f4"))
    for function, rest in ((larger, [math.inf, 3]), (smaller, [0, 2]), (nothing, [math.nan, 0])):
        got = ww.elementwise(function)(x, y).numpy()
        np.testing.assert_array_equal(got, np.array([math.nan, math.nan, *rest], "f4"), err_msg=function.__name__)


def test_what_it_captures_is_copied_when_it_is_decorated() -> None:
    factor, number = np.float32(2.5), 3

    def scaled(x: Any) -> Any:
        return factor * x + number + math.pi * (1 if truth else 0)

    truth = True
    op = ww.elementwise(scaled)
    number, truth = 7, False
    np.testing.assert_allclose(op(ww.asarray([1.0, 2.0])).numpy(), [5.5 + math.pi, 8 + math.pi], rtol=1e-6)
    assert number == 7


def test_lambdas() -> None:
    cube = ww.elementwise(lambda x: x**3)
    assert cube(ww.asarray([2.0])).item() == 8
    with pytest.raises(TypeError, match="elementwise: <lambda>: expected one lambda in a statement of its own"):
        [ww.elementwise(f) for f in (lambda x: x, lambda x: 2 * x)]


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (("float32", "float32", "float32"), "float32"),
        (("float32", "float64", "float32"), "float64"),
        (("float16", "float16", "float16"), "float16"),
        (("bfloat16", "bfloat16", "bfloat16"), "bfloat16"),
        (("bfloat16", "float16", "float32"), "float32"),
        (("int64", "float32", "bool"), "float32"),
    ],
)
def test_constants_do_not_widen_and_dtypes_promote(dtypes: tuple[str, ...], expected: str) -> None:
    given = [ww.astype(numbers(5, seed=i), getattr(ww, d)) for i, d in enumerate(dtypes)]
    got = gate(*given)
    assert got.dtype == getattr(ww, expected)
    wide = expected if expected.startswith("float") and expected != "float16" else "float32"
    once = ww.astype(gate(*(ww.astype(t, getattr(ww, wide)) for t in given)), getattr(ww, expected))  # rounded once
    assert (got == once).numpy().all()


def test_python_numbers_take_the_dtype_of_the_tensors() -> None:
    x = numbers(4, dtype="float32")
    np.testing.assert_array_equal(gate(x, 0, 1.5).numpy(), (x / 2 + 1.5).numpy())
    assert gate(1, ww.astype(x, ww.float16), 2).dtype == ww.float16


def layouts(x: np.ndarray[Any, Any]) -> dict[str, ww.Tensor]:
    wide = np.full((x.shape[0] * 2, x.shape[1] * 3), np.nan, x.dtype)
    wide[1::2, ::3] = x
    return {
        "contiguous": ww.asarray(x),
        "transposed": ww.asarray(np.ascontiguousarray(x.T)).T,
        "stepped": ww.asarray(wide)[1::2, ::3],
        "reversed": ww.flip(ww.asarray(np.ascontiguousarray(x[::-1, ::-1]))),
    }


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (67, 131), (0, 4), (2, 3000)])
def test_any_layout_and_number_of_threads_gives_the_same_bits(shape: tuple[int, int]) -> None:
    x, y = numbers(*shape, dtype="float32"), numbers(*shape, dtype="float32", seed=1)
    expected = composed_gate(x, y, 1.0).numpy()
    for threads in (1, 3):
        ww.set_num_threads(threads)
        for a in layouts(x.numpy()).values():
            for b in layouts(y.numpy()).values():
                np.testing.assert_array_equal(gate(a, b, 1.0).numpy(), expected)


def test_broadcasting_and_its_adjoint() -> None:
    given = [wants_grad(numbers(4, 1, seed=0)), wants_grad(numbers(3, seed=1)), wants_grad(numbers(seed=2))]
    np.testing.assert_array_equal(gate(*given).numpy(), composed_gate(*given).numpy())
    assert ww.autograd.gradcheck(gate, given) and ww.autograd.gradgradcheck(gate, given)
    scalars = [numbers(seed=i) for i in range(3)]
    empty = [wants_grad(numbers(0, 4)), wants_grad(numbers(4)), wants_grad(numbers(1, 1))]
    assert [g.shape for g in ww.grad(gate(*empty).sum(), empty)] == [(0, 4), (4,), (1, 1)]
    assert gate(*scalars).shape == () and gate(*scalars).item() == composed_gate(*scalars).item()


def twins(x: Any, y: Any) -> Any:
    return math.exp(x * y) * (x + y) + math.tanh(x) + math.tanh(y)


def test_gradients_in_one_pass_have_the_bits_of_those_one_by_one() -> None:
    op, passes = ww.elementwise(twins), []
    x, y = numbers(40, 51, dtype="float32"), numbers(40, 51, dtype="float32", seed=1)
    run = op._run_blocks
    op._run_blocks = lambda by, *arrays: (passes.append(by), run(by, *arrays))  # type: ignore[method-assign, func-returns-value]  # a spy
    scalar = numbers(dtype="float32", seed=2)
    for a, b, together in (
        (x, y, True), (x.T, y.T, True), (x, y.T.contiguous().T, False), (x, scalar, True), (x[::2], y[::2], False), (x, y[0], False),
        (x[None, None], y[None, None], True), (x.reshape(2, 4, 5, 51).permute(0, 3, 1, 2), y.reshape(2, 4, 5, 51).permute(0, 3, 1, 2), True),
    ):  # fmt: skip
        both = wants_view(a), wants_view(b)
        out = op(*both)
        for grad in (out.detach() * 0 + 1, ww.broadcast_to(ww.ones(()), out.shape)):
            passes.clear()
            found = ww.grad(op(*both), both, grad)
            assert ((0, 1) in passes) == together, (a.shape, b.shape)
            for i, (got, leaf) in enumerate(zip(found, both)):
                alone = op(*(t if k == i else t.detach() for k, t in enumerate(both)))
                np.testing.assert_array_equal(got.numpy(), ww.grad(alone, leaf, grad).numpy())


def wants_view(x: ww.Tensor) -> ww.Tensor:
    return x.detach().requires_grad_()


def test_only_what_is_asked_for_is_differentiated_and_what_it_does_not_depend_on_has_zero() -> None:
    op = ww.elementwise(first_of_two)
    x, y = wants_grad(numbers(3)), wants_grad(numbers(3, seed=1))
    op(x, numbers(3)).sum().backward()
    assert y.grad is None and (x.grad.numpy() == 3).all()
    op(x.detach(), y).sum().backward()
    assert (y.grad.numpy() == 0).all()
    half = ww.tensor([1.0, 2.0], dtype=ww.float16, requires_grad=True)
    op(half, half).sum().backward()
    assert half.grad.dtype == ww.float16 and (half.grad.numpy() == 3).all()


def first_of_two(x: Any, y: Any) -> Any:
    return 3 * x


def deep(x: Any) -> Any:
    for_later = math.exp(x)
    total = math.tanh(for_later) + math.sin(for_later * 2) * math.cos(x)
    total = math.log1p(total * total) + for_later
    other = math.sqrt(abs(math.erf(total) * for_later)) if total > 1 and for_later < 3 else math.atan(total)
    return total * other - (math.pow(for_later, 1.3) if other > 0.5 else 2.5**x) + (1 if total > for_later else 0)


def test_stages_keep_what_later_ones_need() -> None:
    op, x = ww.elementwise(deep), numbers(1500)
    np.testing.assert_allclose(op(x).numpy(), [deep(v) for v in x.numpy().tolist()], rtol=1e-12)
    assert ww.autograd.gradcheck(op, [wants_grad(numbers(20))])


def test_calls_from_many_threads_and_from_a_forked_child() -> None:
    x, y, z = (numbers(300_000, dtype="float32", seed=i) for i in range(3))
    expected, wrong = composed_gate(x, y, z).numpy(), []
    fresh = ww.elementwise(gate._scalar)  # they compile it at the same time, too

    def work() -> None:
        for _ in range(5):
            if not np.array_equal(fresh(x, y, z).numpy(), expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 0
    else:
        try:
            os._exit(0 if np.array_equal(fresh(x, y, z).numpy(), expected) else 1)
        finally:
            os._exit(2)


def test_machine_code_comes_from_the_cache() -> None:
    made = blocks.compile_block((gate._expression,), "float32")
    source = next(
        p for p in (blocks.cache_folder() / "elementwise").glob("*.py") if Path(made.code._pyfunc.__code__.co_filename) == p
    )
    again = blocks._module.__wrapped__(source.read_text())
    assert again.block.cache_hits == 1 and again.block.address != made.address


def test_the_example_of_the_page_runs_as_it_stands(tmp_path: Path) -> None:
    page = Path(__file__).resolve().parents[1] / "docs" / "kernels.md"
    if not page.is_file():
        pytest.skip("the tests run outside the repository, without docs/")
    example = tmp_path / "example.py"
    example.write_text(page.read_text().split("## Elementwise functions")[1].split("```python\n")[1].split("```")[0])
    assert runpy.run_path(str(example))["squared_relu"](ww.asarray([math.nan])).numpy() != 0  # NaN


def test_it_looks_like_the_function_that_it_was() -> None:
    assert isinstance(gate, Elementwise) and gate.__name__ == "gate" and repr(gate) == "<elementwise gate(x, y, z)>"
    assert ww.elementwise(branches).__doc__ == "Of every kind."
    assert copy.deepcopy({"op": gate})["op"] is gate and pickle.loads(pickle.dumps(gate)) is gate
