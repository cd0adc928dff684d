"""ww.elementwise: what it does not understand, wrong arguments, devices and packages that are not there."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import whitewolf as ww

if importlib.util.find_spec("numba") is None:
    pytest.skip("numba is not installed: pip install numba", allow_module_level=True)


@ww.elementwise
def gate(x: Any, y: Any, z: Any) -> Any:
    return x / (1 + math.exp(-y)) + z


def first_of_two(x: Any, y: Any) -> Any:
    return 3 * x


def loop(x):
    for _ in range(3):
        x = x * x
    return x


def while_loop(x):
    while x > 1:
        x = x / 2
    return x


def index(x):
    return x[0]


def unknown(x):
    return math.gamma(x)


def no_return(x):
    if x > 0:
        return x


def unset(x):
    if x > 0:
        y = x
    return y


def keyword(x):
    return math.pow(x, y=2)


def number_as_truth(x):
    return 1 if x else 0


def truth_as_number(x):
    return (x > 0) + 1


def nowhere(x):
    return x + not_there  # noqa: F821  # what the test is about


def recursive(x):
    return recursive(x - 1) if x > 0 else 0


TENSOR = ww.asarray([1.0, 2.0])


def captured(x):
    return x * TENSOR


def bits(x):
    return ~x


def attribute(x):
    return x.real


def too_few(x):
    return math.atan2(x)


def inner(x):
    def double(y):
        return 2 * y

    return double(x)


@pytest.mark.parametrize(
    ("function", "line", "words"),
    [
        (loop, 1, "expected return, if or an assignment, got a for loop"),
        (while_loop, 1, "got a while loop"),
        (index, 1, "expected arithmetic, a comparison, a condition or a call of a known function, got an index"),
        (unknown, 1, "expected a function that is known here, as math.exp, got math.gamma"),
        (no_return, 1, "expected every path to return a number, got one that ends without"),
        (unset, 3, "expected y to be set, to a number, on every path that leads here"),
        (keyword, 1, "expected math.pow to be called with plain arguments"),
        (number_as_truth, 1, "expected a comparison, got a number"),
        (truth_as_number, 1, "expected a number, got a truth value"),
        (nowhere, 1, "expected a name that is known when the function is decorated, got not_there"),
        (captured, 1, "expected TENSOR to be a real number, got Tensor"),
        (bits, 1, "expected - or + before a number, got ~"),
        (attribute, 1, "expected a name of a module, as math.real, got x.real"),
        (too_few, 1, "expected 2 arguments of math.atan2, got 1"),
        (inner, 1, "got a function inside"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_not_understood_names_function_line_and_construct(function: Any, line: int, words: str) -> None:
    with pytest.raises(TypeError) as raised:
        ww.elementwise(function)
    at = function.__code__.co_firstlineno + line
    assert str(raised.value).startswith(f"elementwise: {function.__name__}, line {at} of {__file__}: ")
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (3, "expected a Python function, got int"),
        (math.exp, "expected a Python function, got builtin_function_or_method"),
        (recursive, "recursive: expected a function that does not call itself"),
        (eval("lambda x: x"), "expected a function whose source can be read, got one without"),
    ],
)
def test_what_is_no_scalar_function_is_refused(function: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        ww.elementwise(function)


def test_parameters_that_are_not_plain_are_refused() -> None:
    def with_default(x: Any, y: Any = 1) -> Any:
        return x

    def several(*x: Any) -> Any:
        return 1

    def none() -> Any:
        return 1

    def nine(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any, i: Any) -> Any:
        return a

    wrong: dict[Callable[..., Any], str] = {with_default: "expected plain parameters, got y", several: "expected plain parameters, got \\*x",
                                            none: "expected a parameter, got none", nine: "at most 8 parameters, got 9"}  # fmt: skip
    for function, words in wrong.items():
        with pytest.raises(TypeError, match=f"elementwise: {function.__name__}: .*{words}"):
            ww.elementwise(function)


@pytest.mark.parametrize(
    ("args", "error", "words"),
    [
        ((1, 2, 3), TypeError, "gate: expected x to be a Tensor, got int"),
        ((TENSOR, 2), TypeError, r"gate: expected 3 arguments \(x, y, z\), got 2"),
        ((TENSOR, "a", 1), TypeError, "gate: expected y to be a Tensor, got str"),
        ((TENSOR, ww.ones((3,)), 1), ValueError, r"shapes that broadcast to one, got x.shape == \(2,\), y.shape == \(3,\), z.shape == \(\)"),
        ((ww.asarray([1]), 2, 3), TypeError, "gate: expected x of a floating dtype, got int64; ww.astype converts"),
        ((TENSOR, 1j, 3), TypeError, "gate: expected y of real numbers, got dtype complex64"),
        ((TENSOR, ww.ones(2, device="cudasim"), 3), ww.DeviceError, "gate: expected y on cpu, as x"),
    ],
)  # fmt: skip
def test_wrong_arguments_name_op_and_argument(args: tuple[Any, ...], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        gate(*args)


def test_a_device_without_numba_kernels_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_ENABLE_CUDASIM", raising=False)
    x = ww.ones(3, device="cudasim")
    with pytest.raises(
        ww.DeviceError, match="gate: expected numba-cuda, .* device cudasim: they run there where NUMBA_ENABLE_CUDASIM=1"
    ):
        gate(x, x, x)


def test_without_numba_the_call_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    op = ww.elementwise(first_of_two)
    with pytest.raises(ImportError, match="elementwise: expected numba, which makes its kernels: pip install numba"):
        op(TENSOR, TENSOR)


def test_the_raw_kernel_checks_its_arguments() -> None:
    kernel, out, none = ww.kernels.get("fused_forward"), np.empty((2, 3), "f4"), np.empty(0, "u8")
    for arguments, attributes, words in (
        (([out.copy()], none), {"block": 0}, "expected the address of a block function, got 0"),
        (([out.copy()], none), {"block": 1, "temporaries": 257}, r"temporaries in \[0, 256\], got 257"),
        (
            ([out.copy(), np.ones(2, "f4")], none),
            {"block": 1},
            r"expected x\[1\] to broadcast to y\[0\].shape == \(2, 3\), got x\[1\]",
        ),
        (([out.copy()] * 13, none), {"block": 1}, "at most 13 arrays, got 1 outputs and 13 inputs"),
    ):
        with pytest.raises(ValueError, match=words):
            kernel([out], *arguments, **attributes)
    for second, x in (
        (np.empty((3, 2), "f4").T, out),
        (out[:1].copy(), out),
        (np.empty((2, 6), "f4")[:, ::2], out),
        (out.copy(), np.ones((3, 2), "f4").T),
    ):
        with pytest.raises(ValueError, match="for several outputs, dense ones and all arrays in one layout"):
            kernel([out, second], [x.copy(order="K")], none, block=1)
    with pytest.raises(ValueError, match="kernel_address: expected an op without attributes"):
        ww.device("cpu").module.kernel_address("clip_forward", "float32")
