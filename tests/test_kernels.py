"""The raw kernels, as low-level users import them: signatures, workspaces, aliasing, variants."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import whitewolf as ww


@pytest.fixture
def product():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((5, 7)).astype("f4"), rng.standard_normal((7, 3)).astype("f4")
    return np.empty((5, 3), "f4"), x, w


def test_get_runs_on_plain_arrays(product):
    out, x, w = product
    assert ww.kernels.get("matmul_forward", device="cpu")(out, x, w) is None
    np.testing.assert_allclose(out, x @ w, rtol=1e-5, atol=1e-6)


def test_every_variant_is_listed_and_runs_by_name(product):
    out, x, w = product
    variants = {row["variant"] for row in ww.kernels.list("matmul_forward", device="cpu")}
    assert {"naive", "brgemm"} <= variants
    for variant in variants:
        kernel = ww.kernels.get("matmul_forward", variant=variant)
        out.fill(np.nan)
        kernel(out, x, w)
        np.testing.assert_allclose(out, x @ w, rtol=1e-5, atol=1e-6)
        assert kernel.variant == variant and kernel.choice(out, x, w) == variant


def test_the_contract_is_the_docstring():
    for row in ww.kernels.list(device="cpu"):
        kernel = ww.kernels.get(row["op"])
        assert kernel.__name__ == row["op"] and kernel.signature == row["signature"]
        assert len(kernel.__doc__) > 40, f"{row['op']} has no contract"


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda o, x, w: (o, x, w.T), ValueError, ("w.shape[0] == 7", "k of x", "(3, 7)")),
        (lambda o, x, w: (o, x, w.astype("f8")), TypeError, ("w.dtype == float32", "float64")),
        (lambda o, x, w: (o.astype("i4"), x.astype("i4"), w.astype("i4")), TypeError, ("float32 or float64", "int32")),
        (lambda o, x, w: (o, x), TypeError, ("w to be an array", "None")),
        (lambda o, x, w: (o, x, w.tolist()), TypeError, ("w to be a numpy.ndarray", "list")),
        (lambda o, x, w: (np.broadcast_to(o[:1], o.shape), x, w), ValueError, ("out to be writable",)),
        (lambda o, x, w: (o, x, np.empty(7 * 12 + 1, "u1")[1:].view("f4").reshape(7, 3)), ValueError, ("w aligned",)),
        (lambda o, x, w: (o, x, w.astype(">f4")), TypeError, ("w of a numeric dtype in native byte order",)),
        (lambda o, x, w: (o, x, w, None, "none", 3), TypeError, ("at most 5 arguments", "6")),
    ],
)
def test_wrong_arguments_name_op_argument_expected_and_got(product, change, error, words):
    with pytest.raises(error, match="matmul_forward: ") as raised:
        ww.kernels.get("matmul_forward")(*change(*product))
    for word in words:
        assert word in str(raised.value)


def test_wrong_attributes_are_errors(product):
    kernel = ww.kernels.get("matmul_forward")
    with pytest.raises(ValueError, match="activation to be one of 'none', 'relu'"):
        kernel(*product, activation="swish")
    with pytest.raises(TypeError, match="unexpected keyword argument 'alpha'"):
        kernel(*product, alpha=1)
    with pytest.raises(TypeError, match="got activation twice"):
        kernel(*product, None, "relu", activation="relu")


def test_a_huge_attribute_is_an_error_not_an_overflow():
    y, x = np.empty((1, 1, 1, 1), "f4"), np.ones((1, 1, 2, 2), "f4")
    with pytest.raises(ValueError, match="int64"):
        ww.kernels.get("max_pool2d_forward")(y, None, x, kernel=2**70, stride=1)
    with pytest.raises(ValueError, match="expected kernel to be an int or 2 of them, got 2.5"):
        ww.kernels.get("max_pool2d_forward")(y, None, x, kernel=2.5, stride=1)


def test_outputs_may_not_overlap_inputs():
    memory = np.ones((6, 6), "f4")
    kernel = ww.kernels.get("matmul_forward")
    with pytest.raises(ValueError, match="expected out not to overlap x"):
        kernel(memory[:3, :3], memory[:3, :3], np.eye(3, dtype="f4"))
    with pytest.raises(ValueError, match="expected out not to overlap w"):
        kernel(memory[:3, :3], np.eye(3, dtype="f4"), memory[2:5, 2:5])
    # Interleaved columns share no element, though their extents overlap.
    kernel(memory[:3, :3], memory[:3, 3:], np.eye(3, dtype="f4"))
    assert (memory[:3, :3] == 1).all()


def test_elementwise_kernels_run_exactly_in_place_and_not_shifted():
    x = np.linspace(-1, 1, 40, dtype="f4")
    expected = np.maximum(x, 0)
    kernel = ww.kernels.get("relu_forward")
    with pytest.raises(ValueError, match="unless it is exactly in place"):
        kernel(x[1:], x[:-1])
    kernel(x, x)
    assert (x == expected).all()


def test_workspace_is_sized_before_and_checked(product):
    x, w = np.ones((200, 300), "f4"), np.ones((300, 500), "f4")
    out = np.empty((200, 500), "f4")
    kernel = ww.kernels.get("matmul_forward", variant="brgemm")
    need = kernel.workspace_bytes(out, x, w)
    kernel(out, x, w, workspace=np.empty(need, "u1"))
    assert (out == 300).all()
    if need:
        with pytest.raises(ValueError, match=f"workspace to be contiguous with at least {need} bytes, got {need - 1}"):
            kernel(out, x, w, workspace=np.empty(need - 1, "u1"))


def test_use_forces_a_variant_in_its_scope_and_thread_only(product):
    kernel, other = ww.kernels.get("matmul_forward"), []
    usual = kernel.choice(*product)
    with ww.kernels.use(matmul="naive"):
        assert kernel.choice(*product) == "naive"
        thread = threading.Thread(target=lambda: other.append(kernel.choice(*product)))
        thread.start()
        thread.join()
    assert other == [usual] and kernel.choice(*product) == usual


def test_use_reaches_ops_under_autograd():
    x = ww.ones((3, 4), requires_grad=True)
    with ww.kernels.use(matmul="naive"):
        (x @ ww.ones((4, 2))).sum().backward()
    assert (x.grad.numpy() == 2).all()


@pytest.mark.parametrize(
    ("arguments", "words"), [({"matmul": "wgmma9"}, "variant of matmul"), ({"nosuch": "naive"}, "family of kernels")]
)
def test_use_of_what_is_not_there_is_an_error(arguments, words):
    with pytest.raises(ValueError, match=words), ww.kernels.use(**arguments):
        pass


def test_unknown_kernel_and_variant_are_named():
    with pytest.raises(ValueError, match="registered op, got 'matmul_sideways'"):
        ww.kernels.get("matmul_sideways")
    with pytest.raises(ValueError, match=r"variant of matmul_forward in \{.*naive.*\}, got 'fast'"):
        ww.kernels.get("matmul_forward", variant="fast")


def test_absent_devices_say_why():
    for name, state in ww.devices().items():
        if state != "available":
            with pytest.raises(ww.DeviceError, match=f"{name} is not available"):
                ww.kernels.get("matmul_forward", device=name)
    with pytest.raises(ww.DeviceError, match="expected one of cpu, cudasim, cuda, got 'tpu'"):
        ww.device("tpu")


def test_calls_from_many_threads_at_once_agree():
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((64, 80)).astype("f4"), rng.standard_normal((80, 96)).astype("f4")
    kernel = ww.kernels.get("matmul_forward")
    expected = np.empty((64, 96), "f4")
    kernel(expected, x, w)
    wrong = []

    def work():
        out = np.empty((64, 96), "f4")
        for _ in range(50):
            kernel(out, x, w)
            if not np.array_equal(out, expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_a_workspace_may_overlap_no_view():
    kernel, memory = ww.kernels.get("matmul_forward"), np.ones(1_000_000, "f4")
    # A transposed w is packed into the workspace.
    out, x, w = np.empty((200, 200), "f4"), memory[:60_000].reshape(200, 300), np.ones((200, 300), "f4").T
    assert 0 < kernel.workspace_bytes(out, x, w) <= memory.nbytes
    with pytest.raises(ValueError, match="matmul_forward: expected workspace not to overlap x"):
        kernel(out, x, w, workspace=memory)
    kernel(out, x, w, workspace=np.empty_like(memory))
    assert (out == 300).all()


@pytest.mark.parametrize(
    ("shape", "strides"), [((4, 4), (1, 1)), ((4, 4), (2, 1)), ((4, 4), (-3, 1)), ((2, 3), (0, 1)), ((3, 4), (3, 2))]
)
def test_an_output_that_overlaps_itself_is_refused(shape, strides):
    memory = np.zeros(64, "f4")
    out = np.lib.stride_tricks.as_strided(memory[32:], shape, [4 * s for s in strides])
    with pytest.raises(ValueError, match="matmul_forward: expected out to hold each element once"):
        ww.kernels.get("matmul_forward")(out, np.ones((shape[0], 5), "f4"), np.ones((5, shape[1]), "f4"))


@pytest.mark.parametrize(
    ("shape", "strides"), [((2, 3), (3, 2)), ((4, 4), (-4, 1)), ((4, 4), (8, -2)), ((1, 4), (0, 1)), ((3, 2), (1, 3))]
)
def test_an_output_whose_elements_lie_apart_is_taken(shape, strides):
    memory = np.zeros(64, "f4")
    out = np.lib.stride_tricks.as_strided(memory[32:], shape, [4 * s for s in strides])
    ww.kernels.get("matmul_forward")(out, np.ones((shape[0], 5), "f4"), np.ones((5, shape[1]), "f4"))
    assert (out == 5).all() and (memory != 0).sum() == out.size


def test_scopes_of_variants_end_in_any_order(product):
    out, x, w = product
    choice = ww.kernels.get("matmul_forward").choice
    first, second = ww.kernels.use(matmul="naive"), ww.kernels.use(matmul="brgemm")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert choice(out, x, w) == "brgemm"
    second.__exit__(None, None, None)
    with ww.kernels.use(matmul="naive"):
        assert choice(out, x, w) == "naive"


def test_what_is_no_name_is_refused_as_such():
    with pytest.raises(TypeError, match="kernels.get: expected op to be a name, got 3"):
        ww.kernels.get(3)
    with pytest.raises(TypeError, match="kernels.get: expected variant to be a name, got 3"):
        ww.kernels.get("matmul_forward", variant=3)
    with (
        pytest.raises(TypeError, match="kernels.use: expected matmul to be the name of a variant, got 3"),
        ww.kernels.use(matmul=3),
    ):
        pass
