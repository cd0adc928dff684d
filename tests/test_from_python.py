"""asarray and tensor of Python's numbers, lists, tensors in lists and strange dtypes; deepcopy of tensors that share memory."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import whitewolf as ww

MAKERS = [ww.asarray, ww.tensor]
BIG = 2**63


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("obj", [BIG, [BIG], [BIG, -1], [[-BIG - 1], [0]], 10**30, [10**30, 1], (1, 10**400)])
def test_ints_beyond_int64_overflow(make: Callable[..., ww.Tensor], obj: Any) -> None:
    with pytest.raises(OverflowError, match=r"(asarray|tensor): expected (obj|data) of numbers that int64 holds"):
        make(obj)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64", "uint64"])
def test_ints_are_exact_to_the_ends_of_each_dtype_and_overflow_beyond(dtype: str) -> None:
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    assert ww.asarray([low, high], dtype=dtype).tolist() == [low, high] and ww.asarray(high, dtype=dtype).item() == high
    for beyond in (low - 1, high + 1):
        with pytest.raises(OverflowError, match=f"asarray: expected obj of numbers that {dtype} holds"):
            ww.asarray([beyond, 0], dtype=dtype)
    if high < 2**53:
        with pytest.raises(OverflowError, match=f"asarray: expected obj of numbers that {dtype} holds"):
            ww.asarray([high + 1.0], dtype=dtype)


def test_large_ints_are_floats_where_a_float_stands_beside_them_or_is_asked_for() -> None:
    assert ww.asarray([10**30, 0.5]).dtype == ww.float32
    assert ww.asarray([BIG, -1], dtype="float64").tolist() == [float(BIG), -1.0]
    with pytest.raises(OverflowError, match="asarray: expected obj of numbers that float64 holds"):
        ww.asarray([10**400], dtype="float64")


ROWS: list[tuple[Any, str]] = [
    ([ww.ones(2, dtype="float32")] * 2, "float32"), ([ww.ones((), dtype="float32"), 1.5], "float32"),
    ([[ww.ones((), dtype="int8"), 1], [2, ww.ones((), dtype="int16")]], "int16"), ([ww.ones((), dtype="int32"), 0.5], "float32"),
    ([ww.ones((), dtype="float16"), ww.ones((), dtype="float64")], "float64"), ([np.float32(1), 2.0], "float32"), ([np.float64(1), 2], "float64"),
    ([ww.ones((), dtype="float64"), 1j], "complex128"), ([np.ones(2, "f2"), [1, 2]], "float16"), ([1, 2.5], "float32"), ([True, 2], "int64"),
    ([True], "bool"), ([1j, 2], "complex64"), ([], "float32"), ([[]], "float32"), ((), "float32"),
]  # fmt: skip


@pytest.mark.parametrize(("obj", "dtype"), ROWS)
def test_lists_keep_the_dtype_of_tensors_and_arrays_and_python_s_numbers_follow(obj: Any, dtype: str) -> None:
    assert ww.asarray(obj).dtype == dtype and ww.tensor(obj).dtype == dtype
    np.testing.assert_array_equal(ww.asarray(obj).numpy(), np.array(obj, dtype=dtype))


def test_dtypes_that_tensors_do_not_have_are_refused() -> None:
    for dtype in {np.dtype(np.longdouble), np.dtype(np.clongdouble)} - {np.dtype("float64"), np.dtype("complex128")}:
        wide = np.ones(2, dtype)
        for call in (lambda a: ww.asarray(a), lambda a: ww.tensor(a), lambda a: ww.asarray([a[0]]), lambda a: ww.asarray(a[0])):
            with pytest.raises(TypeError, match=r"(asarray|tensor): expected (obj|data) of numbers of a dtype that tensors have"):
                call(wide)
        with pytest.raises(
            TypeError, match=f"add: expected x2 of a dtype that combines with float32, got .*no tensor has dtype {dtype}"
        ):
            ww.ones(2) + wide[0]
        with pytest.raises(TypeError, match=f"asarray: expected dtype to be .* got dtype.'{dtype}'"):
            ww.asarray([1.0], dtype=dtype)
        with pytest.raises((BufferError, TypeError)):
            ww.from_dlpack(wide)
        assert dtype.kind == "c" or ww.asarray(wide, dtype="float64").dtype == ww.float64  # narrowed where it is asked for


def test_pytorch_s_tensors_that_require_grad_are_refused_in_lists_as_alone() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    t = torch.ones(2, dtype=torch.float64)
    assert ww.asarray([t, t]).dtype == ww.float64 and ww.asarray([t[0], 1.0]).dtype == ww.float64
    for obj in (t.clone().requires_grad_(), [t.clone().requires_grad_()], [[t[0], t.clone().requires_grad_()[0]]]):
        with pytest.raises(TypeError, match="asarray: expected obj .*numbers, got .*grad"):
            ww.asarray(obj)


def test_deepcopy_of_tensors_that_share_memory_share_theirs() -> None:
    x = ww.arange(24, dtype="float32")
    base = ww.reshape(x, (2, 3, 4))
    views = {
        "base": base,
        "row": base[1],
        "flipped": ww.flip(base),
        "transposed": base.T,
        "same": base.detach(),
        "strided": base[:, ::2, 1],
    }
    for order in (list(views), list(views)[::-1]):
        twins = copy.deepcopy({name: views[name] for name in order})
        for name, twin in twins.items():
            np.testing.assert_array_equal(twin.numpy(), views[name].numpy())
            assert twin.strides == views[name].strides and not np.shares_memory(twin.numpy(), x.numpy())
        twins["base"][1, 2, 1] = -1.0
        twins["same"][0, 0, 0] = -2.0
        marked = np.arange(24, dtype="f4").reshape(2, 3, 4)
        marked[1, 2, 1], marked[0, 0, 0] = -1, -2
        for name, expected in (
            ("row", marked[1]),
            ("flipped", marked[::-1, ::-1, ::-1]),
            ("transposed", marked.T),
            ("strided", marked[:, ::2, 1]),
        ):
            np.testing.assert_array_equal(twins[name].numpy(), expected)
        assert x.tolist() == list(range(24))


def test_a_write_to_one_copy_is_noticed_by_what_saved_another() -> None:
    x = ww.ones((2, 3))
    twin, row = copy.deepcopy([x, x[0]])
    weight = ww.ones(3, requires_grad=True)
    z = weight * row
    twin[0, 1] = 5.0
    with pytest.raises(ww.StaleTensorError, match="multiply"):
        z.sum().backward()


def test_a_model_with_tied_weights_stays_tied_and_its_state_with_it() -> None:
    layer = ww.nn.Linear(3, 3)
    layer.tied = ww.nn.Parameter(layer.weight)  # another parameter over the same memory
    twin, state = copy.deepcopy((layer, layer.state_dict()))
    twin.weight.detach()[0, 0] = 7.0
    assert twin.tied[0, 0].item() == 7.0 and state["weight"][0, 0].item() == 7.0 and layer.weight[0, 0].item() != 7.0


def test_a_view_alone_is_copied_alone() -> None:
    row = ww.ones((1000, 1000))[3]
    assert copy.deepcopy(row)._data.base is None


@pytest.mark.parametrize("name", ["var", "std"])
def test_a_correction_of_nan_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected correction to be a number, got nan"):
        getattr(ww, name)(ww.ones(3), correction=float("nan"))
