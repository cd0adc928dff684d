"""ww.Tensor: making one, reading it, changing it, copying it, and what it refuses."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import whitewolf as ww


def leaf(*values: float) -> ww.Tensor:
    return ww.tensor(list(values), dtype="float32", requires_grad=True)


# ---- making one ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, "float32"), ([1.0, 2], "float32"), (3, "int64"), ([[1], [2]], "int64"), (True, "bool"), (1j, "complex64"),
        (np.float64(1), "float64"), (np.zeros(2, "float16"), "float16"), (np.zeros(2, "uint8"), "uint8"),
        ([np.float64(1)], "float64"), (np.zeros(2, ">f8"), "float64"),
    ],
)  # fmt: skip
def test_dtypes_of_data(data: Any, dtype: str) -> None:
    tensor = ww.tensor(data)
    assert tensor.dtype == dtype and tensor.shape == np.shape(data) and tensor.device == "cpu"
    assert np.array_equal(tensor.numpy(), np.asarray(data))


def test_tensor_copies_and_asarray_does_not() -> None:
    array = np.zeros(3)
    copied, shared = ww.tensor(array), ww.asarray(array)
    array[0] = 1
    assert copied[0].item() == 0 and shared[0].item() == 1


@pytest.mark.parametrize("data", ["text", [None], [[1, 2], [3]], {"a": 1}, object()])
def test_what_is_no_array_of_numbers_is_refused(data: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="tensor: expected data"):
        ww.tensor(data)


def test_the_class_is_not_called() -> None:
    with pytest.raises(TypeError, match=r"expected ww.tensor\(data\)"):
        ww.Tensor()


def test_a_tensor_has_no_attributes_of_other_names() -> None:
    with pytest.raises(AttributeError):
        ww.zeros(2).requires_gradient = True  # type: ignore[attr-defined]


# ---- reading -------------------------------------------------------------------------------------------------------------------


def test_what_it_says_of_itself() -> None:
    x = ww.zeros((2, 3, 4), dtype="float64")
    assert (x.ndim, x.size, x.shape, x.strides, len(x)) == (3, 24, (2, 3, 4), (96, 32, 8), 2)
    assert x.T.shape == (4, 3, 2) and x.mT.shape == (2, 4, 3) and x.is_leaf and not x.requires_grad


def test_numpy_is_a_view_and_read_only_where_a_graph_could_suffer() -> None:
    x = ww.zeros(3)
    x.numpy()[0] = 5
    assert x[0].item() == 5
    view = leaf(1, 2).numpy()
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1
    assert (leaf(1, 2) * 2).numpy().tolist() == [2, 4]


def test_item_bool_int_float_complex() -> None:
    assert ww.tensor([[2.5]]).item() == 2.5 and float(ww.tensor(2.5)) == 2.5 and int(ww.tensor(2.5)) == 2
    assert complex(ww.tensor(1j)) == 1j and bool(ww.tensor([0.0])) is False
    assert [10, 20, 30][ww.tensor(1)] == 20
    for convert in (lambda x: x.item(), bool, float):
        with pytest.raises(ValueError, match=r"expected a tensor of one element, got shape \(2,\)"):
            convert(ww.zeros(2))
    with pytest.raises(TypeError, match="index: expected an integer tensor of one element, got dtype float32"):
        [1, 2][ww.tensor(1.0)]


def test_iteration_and_length() -> None:
    assert [row.tolist() for row in ww.tensor([[1, 2], [3, 4]])] == [[1, 2], [3, 4]]
    with pytest.raises(TypeError, match="0-d"):
        len(ww.tensor(1.0))
    with pytest.raises(TypeError, match="0-d"):
        list(ww.tensor(1.0))


def test_repr_names_dtype_and_origin() -> None:
    assert repr(ww.tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert repr(ww.tensor([1.0], dtype="float64")) == "tensor([1.], dtype=float64)"
    assert repr(leaf(1)) == "tensor([1.], requires_grad=True)" and "op=multiply" in repr(leaf(1) * 2)
    assert len(repr(ww.zeros((1000, 1000)))) < 1000
    assert f"{ww.tensor(1.23456):.2f}" == "1.23"


def test_numpy_functions_take_tensors() -> None:
    x = ww.tensor([1.0, 4.0])
    assert np.asarray(x).tolist() == [1, 4] and np.array(x, dtype="float64").dtype == np.float64
    assert np.shares_memory(np.asarray(x), x.numpy()) and not np.shares_memory(np.array(x, copy=True), x.numpy())
    with pytest.raises(ValueError, match="copy=False"):
        x.__array__(dtype="float64", copy=False)


def test_numpy_arrays_beside_tensors_are_refused_not_guessed() -> None:
    for expression in (lambda x, a: x + a, lambda x, a: a + x, lambda x, a: a @ x, lambda x, a: x * a):
        with pytest.raises(TypeError):
            expression(ww.ones((2, 2)), np.ones((2, 2)))


def test_numpy_scalars_beside_tensors_act_as_numbers() -> None:
    x = ww.ones(2)
    assert (x * np.float64(2)).dtype == "float32" and (np.float64(2) * x).tolist() == [2, 2]
    assert (ww.tensor([1, 2]) + np.int64(1)).tolist() == [2, 3]


def test_dlpack_both_ways() -> None:
    x = ww.tensor([[1.0, 2.0], [3.0, 4.0]])
    array = np.from_dlpack(x)
    assert np.shares_memory(array, x.numpy())
    back = ww.from_dlpack(array[:, ::-1])
    assert back.tolist() == [[2, 1], [4, 3]] and np.shares_memory(back.numpy(), x.numpy())
    with pytest.raises((ValueError, BufferError), match="detach"):
        np.from_dlpack(leaf(1))


def test_hash_is_identity_and_equality_is_elementwise() -> None:
    x = ww.tensor([1.0, 2.0])
    assert len({x, x, ww.tensor([1.0, 2.0])}) == 2
    assert (x == ww.tensor([1.0, 3.0])).tolist() == [True, False] and (x != 1).tolist() == [False, True]
    assert (x == "text") is False and (x is not None) and (x == None) is False  # noqa: E711


def test_array_namespace() -> None:
    assert ww.zeros(1).__array_namespace__() is ww
    with pytest.raises(ValueError, match="2024.12"):
        ww.zeros(1).__array_namespace__(api_version="1999.01")


# ---- requires_grad and grad ----------------------------------------------------------------------------------------------------


def test_requires_grad_is_a_leaf_s_to_change() -> None:
    x = ww.zeros(2)
    assert x.requires_grad_() is x and x.requires_grad
    x.requires_grad = False
    with pytest.raises(ValueError, match="expected a leaf"):
        (leaf(1) * 2).requires_grad = False
    assert not (leaf(1) * 2).detach().requires_grad


@pytest.mark.parametrize("value", [ww.zeros(3), ww.zeros(2, dtype="float64")])
def test_grad_takes_the_tensor_s_shape_and_dtype_only(value: ww.Tensor) -> None:
    x = leaf(1, 2)
    with pytest.raises(ValueError, match=r"grad: expected shape \(2,\), dtype float32 on cpu, got shape"):
        x.grad = value
    with pytest.raises(TypeError, match="grad: expected a Tensor or None, got list"):
        x.grad = [1.0, 2.0]  # type: ignore[assignment]
    x.grad = ww.ones(2)
    x.grad = None


# ---- in place ------------------------------------------------------------------------------------------------------------------


def test_in_place_operators_keep_the_memory() -> None:
    x = ww.tensor([1.0, 2.0])
    memory = x.numpy()
    x += 1
    x *= 2.0
    x -= ww.tensor([1.0, 0.0])
    x /= 2
    assert memory.tolist() == [1.5, 3.0]


def test_in_place_operators_keep_shape_and_dtype() -> None:
    x = ww.ones(2)
    with pytest.raises(ValueError, match=r"add: expected a result of shape \(2,\), .*got shape \(3, 2\)"):
        x += ww.ones((3, 2))
    counts = ww.tensor([1, 2])
    with pytest.raises(TypeError, match="add: expected a result of dtype int64, .*got dtype float32"):
        counts += 0.5
    assert counts.tolist() == [1, 2] and x.tolist() == [1, 1]


def test_in_place_on_a_leaf_that_requires_grad_works_inside_no_grad() -> None:
    x = leaf(1, 2)
    with ww.no_grad():
        x -= 0.5
    assert x.tolist() == [0.5, 1.5] and x.is_leaf and x.requires_grad


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (0, 9.0, [[9, 9, 9], [3, 4, 5]]),
        ((slice(None), 1), ww.tensor([7.0, 8.0]), [[0, 7, 2], [3, 8, 5]]),
        (([0, 1], [2, 0]), 5.0, [[0, 1, 5], [5, 4, 5]]),
        (np.array([[True, False, True], [False, True, False]]), 0.5, [[0.5, 1, 0.5], [3, 0.5, 5]]),
        (Ellipsis, ww.tensor([1.0, 2.0, 3.0]), [[1, 2, 3], [1, 2, 3]]),
    ],
    ids=str,
)
def test_setitem(key: Any, value: Any, expected: list[list[float]]) -> None:
    x = ww.tensor(np.arange(6, dtype="float32").reshape(2, 3))
    x[key] = value
    assert x.tolist() == expected


@pytest.mark.parametrize(
    ("key", "value", "error", "words"),
    [
        (5, 1.0, IndexError, "setitem: expected key to be an index into x.shape"),
        (0, ww.zeros(4), ValueError, "setitem: .*broadcast"),
        (0, "x", TypeError, "setitem: expected value to be a Tensor, got str"),
        (
            0,
            ww.zeros(3, dtype="float64"),
            TypeError,
            "setitem: expected value of a dtype that promotes to x's float32, got float64",
        ),
    ],
)
def test_setitem_that_does_not_fit_is_refused(key: Any, value: Any, error: type[Exception], words: str) -> None:
    x = ww.zeros((2, 3))
    with pytest.raises(error, match=words):
        x[key] = value
    assert x.tolist() == [[0, 0, 0], [0, 0, 0]]


# ---- copies --------------------------------------------------------------------------------------------------------------------


def test_deepcopy_copies_memory_and_grad() -> None:
    x = leaf(1, 2)
    x.grad = ww.ones(2)
    twin = copy.deepcopy(x)
    with ww.no_grad():
        twin[0] = 9.0
        twin.grad[0] = 9.0
    assert x.tolist() == [1, 2] and x.grad.tolist() == [1, 1] and twin.requires_grad and twin.grad.tolist() == [9, 1]


def test_deepcopy_keeps_who_is_who() -> None:
    x = leaf(1, 2)
    first, second = copy.deepcopy([x, x])
    assert first is second and first is not x


def test_deepcopy_keeps_the_order_of_dimensions() -> None:
    x = ww.permute_dims(ww.zeros((2, 3, 4)), (2, 0, 1))
    assert copy.deepcopy(x).strides == x.strides


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_goes_there_and_back(protocol: int) -> None:
    x = leaf(1, 2)
    back = pickle.loads(pickle.dumps(x, protocol))
    assert back.tolist() == [1, 2] and back.requires_grad and back.dtype == x.dtype and back.device == "cpu"
    with ww.no_grad():
        back[0] = 5.0  # its memory is its own, and writable
    assert back.tolist() == [5, 2]


def test_a_tensor_in_a_graph_is_neither_pickled_nor_deepcopied() -> None:
    y = leaf(1) * 2
    for act in (copy.deepcopy, pickle.dumps):
        with pytest.raises(ValueError, match="expected a leaf"):
            act(y)


def test_shallow_copy_shares_memory() -> None:
    x = ww.zeros(2)
    twin = copy.copy(x)
    twin[0] = 1.0
    assert x.tolist() == [1, 0]


def test_a_shallow_copy_of_a_result_stays_in_the_graph() -> None:
    x = ww.ones(2, requires_grad=True)
    copy.copy(x * 3).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [3, 3]


def test_contiguous_and_clone() -> None:
    x = ww.tensor([[1.0, 2.0], [3.0, 4.0]]).T
    dense = x.contiguous()
    assert dense.strides == (8, 4) and dense.tolist() == x.tolist() and dense.contiguous() is dense
    assert not np.shares_memory(x.clone().numpy(), x.numpy())


def test_to_converts_or_stays() -> None:
    x = ww.zeros(2)
    assert x.to("float64").dtype == "float64" and x.to("cpu") is x and x.to(ww.float32) is x
    with pytest.raises(ww.DeviceError, match="cuda is not available"):
        x.to("cuda")
    with pytest.raises(TypeError):
        x.to("no such thing")


def test_devices_compare_with_names() -> None:
    assert ww.zeros(1).device == "cpu" and ww.zeros(1).device != "cuda"
    with pytest.raises(ww.DeviceError, match="expected one of cpu, cudasim, cuda, got 'gpu'"):
        ww.zeros(1, device="gpu")


@pytest.mark.parametrize("shape", [(-7,), (-2, 3), (3, -5)])
def test_reshape_takes_no_negative_size_but_minus_one(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="reshape: expected a shape of 6 elements"):
        ww.reshape(ww.arange(6), shape)
