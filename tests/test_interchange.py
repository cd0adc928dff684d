"""Tensors in other libraries' hands and back: DLPack, __array__, __cuda_array_interface__, einops, copies and pickles of any dtype."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128".split()
VIEWS: dict[str, Any] = {
    "whole": lambda a: a,
    "transposed": lambda a: a.T,
    "backwards": lambda a: a[::-1],
    "stepped": lambda a: a[:, 1::2],
    "spread": lambda a: np.broadcast_to(a[:1], (5, *a.shape[1:])),
    "one": lambda a: a[1, 2],
    "empty": lambda a: a[:0],
}


def address(x: Any) -> Any:
    return (x.numpy() if isinstance(x, ww.Tensor) else x).__array_interface__["data"][0]


def numbers(dtype: str) -> Any:
    return (np.arange(24) % 5).astype(dtype).reshape(4, 6)


# ---- DLPack ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_dlpack_to_and_from_numpy_shares_memory(dtype: str, view: str) -> None:
    a = np.asarray(VIEWS[view](numbers(dtype)))
    x = ww.from_dlpack(a)
    back = np.from_dlpack(x)
    assert x.dtype == dtype and x.shape == back.shape == a.shape and (a.size == 0 or x.strides == a.strides)
    np.testing.assert_array_equal(back, a)
    if a.size:
        assert address(x) == address(back) == address(a)


def test_dlpack_keeps_read_only_memory_read_only() -> None:
    a = np.zeros(3)
    a.flags.writeable = False
    x = ww.from_dlpack(a)
    with pytest.raises(ValueError, match="setitem: .*read-only"):
        x[0] = 1
    with pytest.raises(ValueError, match="add: .*read-only"):
        x += 1
    assert not np.from_dlpack(x).flags.writeable and a.tolist() == [0, 0, 0]
    with pytest.raises(BufferError, match="readonly|read-only"):
        x.__dlpack__()  # a consumer of version 0 could write
    assert not np.shares_memory(np.from_dlpack(x, copy=True), a)


def test_dlpack_takes_the_arguments_of_2023() -> None:
    x = ww.ones((2, 3))
    assert x.__dlpack_device__() == (1, 0)
    assert "dltensor_versioned" in str(x.__dlpack__(max_version=(1, 0))) and '"dltensor"' in str(x.__dlpack__())
    assert not np.shares_memory(np.from_dlpack(x, copy=True), x.numpy()) and np.shares_memory(
        np.from_dlpack(x, copy=False), x.numpy()
    )
    assert np.shares_memory(np.from_dlpack(x, device="cpu"), x.numpy())
    for wrong, words in (({"dl_device": (2, 0)}, "dl_device"), ({"stream": 1}, "stream"), ({"dl_device": (1, 3)}, "dl_device")):
        with pytest.raises(BufferError, match=f"__dlpack__: expected {words}"):
            x.__dlpack__(**wrong)


def test_from_dlpack_copies_when_asked_and_only_then() -> None:
    a = np.zeros(3)
    assert address(ww.from_dlpack(a)) == address(ww.from_dlpack(a, copy=False)) == address(a)
    assert address(ww.from_dlpack(a, copy=True)) != address(a) and ww.from_dlpack(a, device="cpu").device == "cpu"


class Elsewhere:
    """An array in another device's memory, as far as DLPack tells."""

    def __init__(self, kind: int) -> None:
        self.kind = kind

    def __dlpack__(self, **arguments: Any) -> Any:
        raise AssertionError("the memory of a GPU must not be asked for")

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.kind, 0


def test_from_dlpack_refuses_what_it_cannot_reach() -> None:
    if ww.devices()["cuda"] != "available":
        with pytest.raises(ww.DeviceError, match="device: cuda is not available"):
            ww.from_dlpack(Elsewhere(2))
    with pytest.raises(ww.DeviceError, match="expected x in memory of the CPU or of a CUDA device, got DLPack device type 8"):
        ww.from_dlpack(Elsewhere(8))
    with pytest.raises(TypeError, match="from_dlpack: expected x with __dlpack__"):
        ww.from_dlpack([1.0])
    with pytest.raises(ww.DeviceError, match="cuda is not available"):
        ww.from_dlpack(np.zeros(2), device="cuda")
    with pytest.raises(BufferError, match="detach"):
        ww.from_dlpack(ww.ones(2, requires_grad=True))
    with pytest.raises((BufferError, RuntimeError)):  # NumPy has none
        np.from_dlpack(ww.ones(2, dtype=ww.bfloat16))


def test_a_tensor_lives_on_while_another_library_holds_its_memory() -> None:
    held = np.from_dlpack(ww.full(1000, 7.0))
    for _ in range(50):
        ww.full(1000, 1.0)
    assert (held == 7).all()


@pytest.mark.torch
@pytest.mark.parametrize("dtype", [d for d in DTYPES if d not in ("uint16", "uint32", "uint64")])
@pytest.mark.parametrize("view", ["whole", "transposed", "stepped", "spread", "one", "empty"])
def test_dlpack_to_and_from_pytorch_shares_memory(dtype: str, view: str) -> None:
    torch = pytest.importorskip("torch")
    a = VIEWS[view](numbers(dtype))
    mine = ww.asarray(np.array(a, order="K") if view == "spread" else np.asarray(a))
    theirs = torch.from_dlpack(mine)
    back = ww.from_dlpack(theirs)
    assert back.dtype == dtype and back.shape == mine.shape
    np.testing.assert_array_equal(back.numpy(), a)
    if mine.size:
        assert theirs.data_ptr() == address(mine) == address(back)
        theirs[...] = 1
        assert (mine.numpy() == 1).all() and (back.numpy() == 1).all()
    with pytest.raises(BufferError, match="from_dlpack"):
        ww.from_dlpack(torch.zeros(2, requires_grad=True))
    for make, name in ((ww.asarray, "asarray: expected obj"), (ww.tensor, "tensor: expected data")):
        with pytest.raises(TypeError, match=f"{name} that gives NumPy its numbers, got Tensor: .* requires grad"):
            make(torch.zeros(2, requires_grad=True))
    with pytest.raises(BufferError, match="from_dlpack"):
        ww.from_dlpack(torch.zeros(2, dtype=torch.float8_e5m2))


@pytest.mark.parametrize("view", ["whole", "transposed", "stepped", "one", "empty"])
@pytest.mark.parametrize("max_version", [None, (1, 0)])
def test_bfloat16_is_lent_and_borrowed_without_a_copy(view: str, max_version: tuple[int, int] | None) -> None:
    x = ww.from_dlpack(Lent(ww.asarray(VIEWS[view](numbers("float32").astype(ww.bfloat16))), max_version))
    mine = Lent.last
    assert x.dtype == ww.bfloat16 and x.shape == mine.shape
    np.testing.assert_array_equal(x.numpy().view("u2"), mine.numpy().view("u2"))
    if mine.size:
        assert address(x) == address(mine) and x.numpy().strides == mine.numpy().strides
        assert address(ww.from_dlpack(Lent(mine, max_version), copy=True)) != address(mine)


class Lent:
    """Another library's array, as far as DLPack tells: not one of ours, whose memory needs no capsule."""

    last: ww.Tensor

    def __init__(self, x: ww.Tensor, max_version: tuple[int, int] | None) -> None:
        self.x, self.max_version, Lent.last = x, max_version, x

    def __dlpack__(self, **how: Any) -> Any:
        return self.x.__dlpack__(max_version=self.max_version)

    def __dlpack_device__(self) -> Any:
        return self.x.__dlpack_device__()


@pytest.mark.torch
@pytest.mark.parametrize("shape", [(3, 4), (), (0, 2)])
def test_bfloat16_to_and_from_pytorch_shares_memory(shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.arange(int(np.prod(shape))).reshape(shape).to(torch.bfloat16)
    mine = ww.from_dlpack(theirs.T if theirs.ndim > 1 else theirs)
    assert mine.dtype == ww.bfloat16
    np.testing.assert_array_equal(mine.astype("float32").numpy(), (theirs.T if theirs.ndim > 1 else theirs).float().numpy())
    back = torch.from_dlpack(mine)
    assert back.dtype == torch.bfloat16 and back.shape == mine.shape
    if mine.size:
        assert theirs.data_ptr() == address(mine) == back.data_ptr()
        back[...] = 7
        assert (mine.astype("float32").numpy() == 7).all() and (theirs == 7).all()
    del theirs, back
    assert mine.size == 0 or mine.astype("float32").numpy().min() == 7  # the memory lives on
    with pytest.raises(BufferError, match="from_dlpack"):
        ww.from_dlpack(torch.zeros(2, dtype=torch.bfloat16, requires_grad=True))


@pytest.mark.parametrize("dtype", ["bool", "int8", "int32", "uint8", "float16", "bfloat16", "float32"])
@pytest.mark.parametrize("shape", [(3, 4), (), (0, 2)])
def test_dlpack_to_and_from_jax_shares_memory(dtype: str, shape: tuple[int, ...]) -> None:
    jnp = pytest.importorskip("jax.numpy", reason="JAX is not installed")
    theirs = jnp.asarray(np.arange(int(np.prod(shape))).reshape(shape).astype("int32")).astype(dtype)
    mine = ww.from_dlpack(theirs)
    np.testing.assert_array_equal(mine.numpy(), np.asarray(theirs))
    assert mine.dtype == dtype and not mine.numpy().flags.writeable  # JAX's arrays never change
    block = ww.asarray(np.asarray(theirs).copy())
    back = jnp.from_dlpack(block)
    np.testing.assert_array_equal(np.asarray(back), block.numpy())
    if mine.size:
        assert address(mine) == theirs.unsafe_buffer_pointer()


# ---- NumPy and GPU libraries -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_array_protocol(dtype: str) -> None:
    x = ww.asarray(numbers(dtype).T)
    view, twin = np.asarray(x), np.array(x)
    assert address(view) == address(x) != address(twin) and view.dtype == twin.dtype == dtype
    assert np.asarray(x, dtype="complex128").dtype == "complex128" and address(x.__array__(copy=False)) == address(x)
    assert np.asarray(x, copy=None).strides == x.strides
    with pytest.raises(ValueError, match="__array__: expected dtype .* copy=False"):
        np.asarray(x, dtype="int8" if dtype != "int8" else "int16", copy=False)


def test_cuda_array_interface_is_absent_off_cuda() -> None:
    x = ww.ones(2)
    assert not hasattr(x, "__cuda_array_interface__")
    with pytest.raises(AttributeError, match="expected a tensor on cuda, got one on cpu"):
        x.__cuda_array_interface__  # noqa: B018


# ---- einops ----------------------------------------------------------------------------------------------------------------------

EINOPS_EITHER_ORDER = """
import {first}
import {second}
import einops, gc, numpy as np, whitewolf as ww
gc.collect()
a = np.arange(24.0).reshape(2, 3, 4)
y = einops.rearrange(ww.asarray(a), "a b c -> (c a) b")
assert isinstance(y, ww.Tensor) and (y.numpy() == einops.rearrange(a, "a b c -> (c a) b")).all()
assert (einops.reduce(a, "a b c -> b", "max") == einops.reduce(ww.asarray(a), "a b c -> b", "max").numpy()).all()
"""


@pytest.mark.parametrize("order", [("einops", "whitewolf"), ("whitewolf", "einops")])
def test_einops_knows_tensors_in_either_order_of_import(order: tuple[str, str]) -> None:
    pytest.importorskip("einops", reason="einops is not installed")
    program = EINOPS_EITHER_ORDER.format(first=order[0], second=order[1])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_importing_whitewolf_does_not_import_einops() -> None:
    program = "import sys, whitewolf; assert 'einops' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


@settings(deadline=None, max_examples=30, derandomize=True)
@given(a=hnp.arrays("float64", hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=4), elements=st.integers(-9, 9)))
def test_einops_operations_and_their_gradients(a: Any) -> None:
    einops = pytest.importorskip("einops", reason="einops is not installed")
    x, direction = ww.tensor(a, requires_grad=True), np.random.default_rng(0).standard_normal(a.shape)
    for call in (
        lambda v: einops.rearrange(v, "a b c -> c (b a)"),
        lambda v: einops.rearrange(v, "a b c -> a 1 c b"),
        lambda v: einops.rearrange([v, v], "n a b c -> a b (n c)"),
        lambda v: einops.reduce(v, "a b c -> a c", "sum"),
        lambda v: einops.reduce(v, "a b c -> 1 b", "mean"),
        lambda v: einops.reduce(v, "a b c -> b", "prod"),
        lambda v: einops.repeat(v, "a b c -> (n a) b c", n=2),
        lambda v: einops.pack([v, v], "* b c")[0],
        lambda v: einops.unpack(*einops.pack([v, v[0]], "* b c"), "* b c")[1],
        lambda v: einops.einsum(v, v, "a b c, a d c -> b a d"),
        lambda v: einops.einsum(v, v[0], v[:, 0], "a b c, b c, a c -> a"),
    ):
        ours, theirs = call(x), call(a)
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-12)
        slope = float((ww.grad(ours.sum(), x).numpy() * direction).sum())
        expected = (call(a + 1e-6 * direction).sum() - call(a - 1e-6 * direction).sum()) / 2e-6
        assert slope == pytest.approx(expected, rel=1e-5, abs=1e-6 * max(1, np.abs(theirs).sum()))
    (g,) = ww.grad([einops.rearrange(x, "a b c -> c (b a)")], [x], [ww.asarray(einops.rearrange(a, "a b c -> c (b a)"))])
    np.testing.assert_array_equal(g.numpy(), a)


def test_einops_layers_for_array_api() -> None:
    api = pytest.importorskip("einops.array_api", reason="einops is not installed")
    x = ww.asarray(np.arange(6.0).reshape(2, 3))
    assert api.rearrange(x, "a b -> b a").tolist() == x.T.tolist() and api.reduce(x, "a b -> a", "sum").tolist() == [3, 12]
    assert api.asnumpy(x).tolist() == x.tolist()


# ---- copies and pickles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", ["whole", "transposed", "backwards", "stepped", "empty", "one"])
@pytest.mark.parametrize("dtype", [*DTYPES, "bfloat16"])
def test_deepcopy_and_pickle_keep_values_of_each_dtype_and_layout(dtype: str, view: str) -> None:
    a = np.asarray(VIEWS[view](numbers(dtype if dtype != "bfloat16" else "float32")))
    x = ww.asarray(a, dtype=ww.bfloat16 if dtype == "bfloat16" else dtype)
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x)), copy.deepcopy([x])[0]):
        assert twin.dtype == x.dtype and twin.shape == x.shape and twin.device is x.device
        np.testing.assert_array_equal(twin.numpy().astype("complex128"), a.astype("complex128"))
        if x.size:
            assert address(twin) != address(x)
            twin[...] = True if dtype == "bool" else 1
            assert (x.numpy() == a).all() or dtype == "bfloat16"


def test_a_module_s_tensors_that_share_memory_are_pickled_with_their_kind() -> None:
    layer = ww.nn.Linear(2, 3)
    twin = pickle.loads(pickle.dumps(layer.weight))
    assert type(twin) is type(layer.weight) and twin.requires_grad and twin.tolist() == layer.weight.tolist()
