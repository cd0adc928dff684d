"""The checks can fail: each seeded bug is caught by the check that is there for it, and the sound op passes them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from helpers.broken import PythonKernel, broken_device
from numpy.lib.stride_tricks import as_strided
from whitewolf.autograd import record
from whitewolf.cases import BadCall, Case, Input, OpTable
from whitewolf.checks import CHECKS, CheckFailure, Context, unlisted
from whitewolf.checks.layouts import EMPTY, lay
from whitewolf.device import Device
from whitewolf.tensor import Tensor, wrap

SIGNATURE = "out y: T[n,m], x: T[n,m]"
GRAD_SIGNATURE = "out grad_x: T[n,m], grad: T[n,m], x: T[n,m]"
CASES = (
    Case("odd", (Input((5, 7), batch=0),)),
    Case("large", (Input((3, 400), batch=0),), reduction=400),
    Case("empty", (Input((0, 3), batch=0),)),
)
Forward = Callable[..., None]


def square(y: Any, x: Any) -> None:
    y[...] = x * x


def square_backward(grad_x: Any, grad: Any, x: Any) -> None:
    grad_x[...] = 2 * grad * x


def op_on(name: str = "square") -> Callable[[Tensor], Tensor]:
    """x * x by the kernels toy_forward and square_backward of x's device."""

    def run(x: Tensor) -> Tensor:
        data = x.device.empty(x.shape, x.dtype)
        x.device.kernels["toy_forward"](data, x._data)
        return record(name, data, (x,), lambda node, grad: (back(grad, x),), (x,))

    def back(grad: Tensor, x: Tensor) -> Tensor:
        data = x.device.empty(x.shape, x.dtype)
        x.device.kernels["toy_backward"](data, grad._data, x._data)
        return record("back", data, (grad, x), lambda node, g: (back(g, x), times(times(g, grad), 2.0)), (grad, x))

    def times(a: Tensor, b: Tensor | float) -> Tensor:
        other = b._data if isinstance(b, Tensor) else b
        return wrap(a._data * other, a.device)

    return run


def table(**changes: Any) -> OpTable:
    settings: dict[str, Any] = {
        "op": "square", "function": op_on(), "reference": lambda x: x * x, "kernels": ("toy_forward", "toy_backward"),
        "cases": CASES, "gradient": "second", "exact": True,
    }  # fmt: skip
    return OpTable(**(settings | changes))


def python_device(
    forward: Forward = square, backward: Forward = square_backward, workspace: int = 0, **variants: Forward
) -> Device:
    return broken_device(
        PythonKernel("toy_forward", SIGNATURE, {"plain": forward, **variants}, workspace),
        PythonKernel("toy_backward", GRAD_SIGNATURE, {"plain": backward}),
    )


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Callable[[Device], Device]:
    """Lets ww.kernels.use reach the given device alone."""

    def choose(device: Device) -> Device:
        monkeypatch.setattr("whitewolf.kernels.devices", lambda: {"python": "available"})
        monkeypatch.setattr("whitewolf.kernels.find_device", lambda name: device)
        return device

    return choose


@pytest.mark.parametrize("check", CHECKS)
def test_a_sound_op_passes(check: str, chosen: Callable[[Device], Device]) -> None:
    CHECKS[check](table(), Context(chosen(python_device(fast=square))))


# ---- kernels with a bug --------------------------------------------------------------------------------------------------------


def slightly_wrong(y: Any, x: Any) -> None:
    y[...] = x * x * (1 + 40 * np.finfo(x.dtype).eps)


def last_element_wrong(y: Any, x: Any) -> None:
    square(y, x)
    if y.size > 100:
        y[-1, -1] += 0.01


def writes_before(y: Any, x: Any) -> None:
    square(y, x)
    if y.size:
        flat = as_strided(y[:1, :1], (2,), (-y.itemsize,))
        flat[1] = 0


def writes_after(y: Any, x: Any) -> None:
    square(y, x)
    if y.size:
        as_strided(y[-1:, -1:], (2,), (y.itemsize,))[1] = 0


def accumulates(y: Any, x: Any) -> None:
    y += x * x


def changes_its_input(y: Any, x: Any) -> None:
    square(y, x)
    x[...] += 1


def ignores_output_strides(y: Any, x: Any) -> None:
    as_strided(y, y.shape, (y.shape[1] * y.itemsize, y.itemsize))[...] = x * x


def ignores_input_strides(y: Any, x: Any) -> None:
    y[...] = as_strided(x, x.shape, (x.shape[1] * x.itemsize, x.itemsize)) ** 2


def off_by_one_where_stepped(y: Any, x: Any) -> None:
    square(y, x)
    if y.size and abs(x.strides[1]) > x.itemsize:
        y[:, -1] = y[:, -2]


def reads_beside(y: Any, x: Any) -> None:
    square(y, x)
    if y.size:
        y[-1, -1] += 0 * as_strided(x[-1:, -1:], (2,), (x.itemsize,))[1]


def drops_nan(y: Any, x: Any) -> None:
    y[...] = np.where(np.isnan(x), 0, x * x)


def drops_inf(y: Any, x: Any) -> None:
    y[...] = np.minimum(x * x, np.finfo(x.dtype).max)


def depends_on_threads(y: Any, x: Any) -> None:
    y[...] = x * x * (1 + np.finfo(x.dtype).eps * (ww.get_num_threads() > 2))


def depends_on_the_batch(y: Any, x: Any) -> None:
    y[...] = x * x * (1 + np.finfo(x.dtype).eps * (len(x) > 1))


def differs_between_runs() -> Forward:
    calls = iter(range(1 << 30))

    def run(y: Any, x: Any) -> None:
        y[...] = x * x * (1 + np.finfo(x.dtype).eps * (next(calls) % 3))

    return run


def writes_beside_workspace(y: Any, x: Any, workspace: Any) -> None:
    square(y, x)
    as_strided(workspace[-1:], (2,), (1,))[1] = 0


def uses_unwritten_workspace(y: Any, x: Any, workspace: Any) -> None:
    y[...] = x * x
    if y.size:
        y[0, 0] += 0 * workspace.view(x.dtype)[0]


@pytest.mark.parametrize(
    ("forward", "check"),
    [
        (slightly_wrong, "value"), (slightly_wrong, "exact"), (last_element_wrong, "value"), (writes_before, "guards"),
        (writes_after, "guards"), (accumulates, "guards"), (accumulates, "kernels"), (changes_its_input, "value"),
        (changes_its_input, "guards"), (ignores_output_strides, "kernels"), (ignores_input_strides, "strides"),
        (ignores_input_strides, "kernels"), (off_by_one_where_stepped, "strides"), (off_by_one_where_stepped, "kernels"),
        (reads_beside, "guards"), (reads_beside, "strides"), (drops_nan, "nonfinite"), (drops_inf, "nonfinite"),
        (depends_on_threads, "threads"), (differs_between_runs(), "threads"), (depends_on_the_batch, "batch"),
    ],
)  # fmt: skip
def test_a_broken_kernel_is_caught(forward: Forward, check: str) -> None:
    with pytest.raises(CheckFailure, match="square"):
        CHECKS[check](table(), Context(python_device(forward)))


@pytest.mark.parametrize("forward", [writes_beside_workspace, uses_unwritten_workspace])
def test_a_misused_workspace_is_caught(forward: Forward) -> None:
    with pytest.raises(CheckFailure, match="square"):
        CHECKS["guards"](table(), Context(python_device(forward, workspace=64)))


def test_a_wrong_variant_is_caught_and_named() -> None:
    with pytest.raises(CheckFailure, match="toy_forward:fast"):
        CHECKS["kernels"](table(), Context(python_device(fast=last_element_wrong)))


def test_a_wrong_variant_that_is_chosen_by_use_is_caught(chosen: Callable[[Device], Device]) -> None:
    with pytest.raises(CheckFailure, match="toy_forward=fast"):
        CHECKS["variants"](table(), Context(chosen(python_device(fast=last_element_wrong))))


# ---- gradients with a bug ------------------------------------------------------------------------------------------------------


def wrong_factor(grad_x: Any, grad: Any, x: Any) -> None:
    grad_x[...] = 2.001 * grad * x


def wrong_in_float32(grad_x: Any, grad: Any, x: Any) -> None:
    grad_x[...] = grad * x * (2.0 if x.dtype == np.float64 else 2.001)


def ignores_grad_strides(grad_x: Any, grad: Any, x: Any) -> None:
    grad_x[...] = 2 * as_strided(grad, grad.shape, (grad.shape[1] * grad.itemsize, grad.itemsize)) * x


def writes_after_gradient(grad_x: Any, grad: Any, x: Any) -> None:
    writes_after(grad_x, x)
    square_backward(grad_x, grad, x)


def leaves_a_hole(grad_x: Any, grad: Any, x: Any) -> None:
    grad_x[1:] = 2 * grad[1:] * x[1:]


@pytest.mark.parametrize(
    ("backward", "check"),
    [
        (wrong_factor, "gradient"), (wrong_in_float32, "float32 gradient"), (ignores_grad_strides, "gradient strides"),
        (ignores_grad_strides, "kernels"), (writes_after_gradient, "guards"), (leaves_a_hole, "guards"),
    ],
)  # fmt: skip
def test_a_broken_backward_is_caught(backward: Forward, check: str) -> None:
    with pytest.raises(CheckFailure, match="square"):
        CHECKS[check](table(), Context(python_device(backward=backward)))


def test_a_wrong_second_gradient_is_caught() -> None:
    def cube(x: Tensor) -> Any:
        return record("cube", x._data**3, (x,), lambda node, grad: (slope(grad, x),))

    def slope(grad: Tensor, x: Tensor) -> Any:
        def backward(node: Any, g: Tensor) -> tuple[Tensor, Tensor]:
            wrong = 5.9 * g._data * grad._data * x._data  # 6 would be right
            return wrap(3 * g._data * x._data**2, x.device), wrap(wrong, x.device)

        return record("slope", 3 * grad._data * x._data**2, (grad, x), backward)

    broken = table(function=cube, reference=lambda x: x**3, kernels=())
    CHECKS["gradient"](broken, Context())
    with pytest.raises(CheckFailure, match="second gradient"):
        CHECKS["second gradient"](broken, Context())


def test_a_backward_that_differs_where_a_graph_of_it_is_recorded_is_caught() -> None:
    def cube(x: Tensor) -> Any:
        def backward(node: Any, grad: Tensor) -> tuple[Tensor]:
            if ww.is_grad_enabled():  # the composite definition, with a wrong factor, but differentiable
                return (grad * x * x * 2.9,)
            return (wrap(3 * grad._data * x._data**2, x.device),)

        return record("cube", x._data**3, (x,), backward)

    broken = table(function=cube, reference=lambda x: x**3, kernels=())
    CHECKS["gradient"](broken, Context())
    with pytest.raises(CheckFailure, match="second gradient"):
        CHECKS["second gradient"](broken, Context())


# ---- a table with a lie --------------------------------------------------------------------------------------------------------


def test_a_listed_kernel_that_never_runs_is_caught() -> None:
    with pytest.raises(CheckFailure, match="matmul_forward"):
        CHECKS["kernels"](table(kernels=("toy_forward", "toy_backward", "matmul_forward")), Context(python_device()))


def test_a_listed_kernel_that_is_not_registered_is_caught() -> None:
    with pytest.raises(CheckFailure, match="cube_forward"):
        CHECKS["kernels"](table(kernels=("cube_forward",)), Context(python_device()))


def test_a_gradient_left_unstated_is_caught() -> None:
    with pytest.raises(CheckFailure, match="expected gradient"):
        CHECKS["kernels"](table(gradient="none"), Context(python_device()))


@pytest.mark.parametrize(
    ("call", "words"),
    [(lambda: None, ()), (lambda: ww.zeros(-1), ("no such word",)), (lambda: ww.zeros("x"), ())],  # type: ignore[arg-type]
    ids=["no error", "other words", "other type"],
)
def test_an_error_that_is_not_raised_as_stated_is_caught(call: Callable[[], Any], words: tuple[str, ...]) -> None:
    with pytest.raises(CheckFailure, match="bad call"):
        CHECKS["errors"](table(bad=(BadCall("bad", call, ValueError, words),)), Context())


def test_kernels_and_tables_are_held_against_each_other() -> None:
    tables = [table()]
    registered = {"toy_forward", "toy_backward"}
    assert unlisted(tables, registered, {}) == []
    assert "orphan: registered" in unlisted(tables, registered | {"orphan"}, {})[0]
    assert unlisted(tables, registered | {"orphan"}, {"orphan": "measures the machine"}) == []
    assert "not registered" in unlisted(tables, registered, {"gone": "was here once"})[0]
    assert "an OpTable lists it" in unlisted(tables, registered, {"toy_forward": "has no op"})[0]
    assert "without a reason" in unlisted(tables, registered | {"orphan"}, {"orphan": ""})[0]


# ---- layouts -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", EMPTY)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4, 5), (0, 3), (1, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_a_layout_keeps_the_values(pattern: str, shape: tuple[int, ...], dtype: str) -> None:
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    laid = lay(array, pattern)
    assert laid.shape == array.shape and laid.dtype == array.dtype and np.array_equal(laid, array)


def test_layouts_differ() -> None:
    array = np.zeros((2, 3, 4, 5), "float32")
    seen = {lay(array, pattern).strides for pattern in EMPTY}
    assert len(seen) == len(EMPTY) - 1  # "offset" has the strides of C order, at another address
    assert lay(array, "offset").ctypes.data % 64 == 4
