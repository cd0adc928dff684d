"""Generated misuse: every public function, each of its arguments in turn replaced by each bad value. Runs in a child process.

main([name, ...]) prints a line of JSON before each function, and one for each call that broke the contract

The contract: a call either works, or raises a typed error whose text names the op and the argument, and whose type the docstring names
(or the general rule of whitewolf/_errors.py); it changes none of its inputs.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
import resource
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import whitewolf as ww

MEMORY = 6 << 30  # bytes of address space: an absurd size must fail here, not fill the machine

TYPED = (ValueError, TypeError, IndexError, OverflowError, MemoryError, BufferError, ZeroDivisionError, ww.DeviceError)


def floats(*shape: int) -> ww.Tensor:
    return ww.asarray(np.random.default_rng(0).uniform(0.1, 0.9, shape).astype("float32"))


def ints(*shape: int) -> ww.Tensor:
    return ww.asarray(np.zeros(shape, "int64"))


def bools(*shape: int) -> ww.Tensor:
    return ww.asarray(np.ones(shape, "bool"))


def double(x: Any) -> Any:
    return 2 * x


# A good value for each parameter that has no default, by its name...
GOOD: dict[str, Callable[[], Any]] = {
    **dict.fromkeys(("x", "x1", "x2", "input", "a", "b", "output", "src", "source", "tensor", "outputs", "inputs"), lambda: floats(2, 2)),
    "indices": lambda: ints(2, 2), "index": lambda: ints(2, 2), "dim": lambda: 0, "axis": lambda: 0, "shape": lambda: (2, 2),
    "axes": lambda: (1, 0), "condition": lambda: bools(2, 2), "mask": lambda: bools(2, 2), "source_axis": lambda: 0,
    "destination": lambda: 1, "shift": lambda: 1, "repeats": lambda: 2, "repetitions": lambda: (1, 2), "arrays": lambda: [floats(2, 2)] * 2,
    "dtype": lambda: "float64", "obj": lambda: [1.0, 2.0], "data": lambda: [1.0, 2.0], "fill_value": lambda: 1.0, "start": lambda: 0,
    "stop": lambda: 5, "num": lambda: 3, "n_rows": lambda: 2, "k": lambda: 1, "value": lambda: 1.0, "chunks": lambda: 2, "sections": lambda: 1,
    "seed": lambda: 1, "n": lambda: 2, "axis0": lambda: 0, "axis1": lambda: 1, "from_": lambda: "int8", "to": lambda: "int16",
    "type": lambda: "float32", "kind": lambda: "integral", "arrays_and_dtypes": lambda: "float32", "which": lambda: "cpu",
    "function": lambda: double, "mode": lambda: True, "on": lambda: False, "equation": lambda: "ij,jk->ik", "operands": lambda: [floats(2, 2)] * 2,
}  # fmt: skip

# ... and for functions whose parameters of that name want another.
GOOD_FOR: dict[str, dict[str, Callable[[], Any]]] = {
    **{n: {"x1": lambda: ints(2, 2), "x2": lambda: ints(2, 2), "x": lambda: ints(2, 2)} for n in dir(ww) if n.startswith("bitwise_")},
    **{n: {"x1": lambda: bools(2), "x2": lambda: bools(2), "x": lambda: bools(2)} for n in dir(ww) if n.startswith("logical_")},
    "imag": {"x": lambda: ww.asarray(np.ones(2, "complex64"))},
    "take": {"indices": lambda: ints(2), "axis": lambda: 0},
    "searchsorted": {"x1": lambda: floats(3), "x2": lambda: floats(2)},
    "iinfo": {"type": lambda: "int8"},
    "moveaxis": {"source": lambda: 0},
    **dict.fromkeys(("index_add", "index_select"), {"index": lambda: ints(2)}),
    "squeeze": {"x": lambda: floats(1, 2)},
    "meshgrid": {"arrays": lambda: floats(3)},
    "broadcast_arrays": {"arrays": lambda: floats(3)},
    "from_dlpack": {"x": lambda: np.zeros(3)},
    "repeat": {"axis": lambda: 0},
    "set_num_threads": {"n": lambda: 1},
    "grad": {"outputs": lambda: ww.ones((), requires_grad=True) * 2, "inputs": lambda: ww.ones((), requires_grad=True)},
    "vecdot": {"axis": lambda: -1},
    "eye": {"n_cols": lambda: 3},
    "unstack": {"axis": lambda: 0},
    "cumulative_sum": {"axis": lambda: 0},
    "cumulative_prod": {"axis": lambda: 0},
}  # fmt: skip


# The same for nn.functional: a picture, and what goes with it.
FUNCTIONAL: dict[str, Callable[[], Any]] = {
    **dict.fromkeys(("input", "x", "input1", "input2", "x1", "x2", "anchor", "positive", "negative", "query", "key", "value", "var"), lambda: floats(2, 2)),
    "logits": lambda: floats(2, 2), "target": lambda: floats(2, 2), "weight": lambda: floats(2, 2), "kernel_size": lambda: 2, "output_size": lambda: 2, "num_groups": lambda: 2,
    "normalized_shape": lambda: 2, "dim": lambda: 0, "running_mean": lambda: floats(2), "running_var": lambda: floats(2), "size": lambda: 2,
    "pad": lambda: (1, 1), "threshold": lambda: 0.5, "groups": lambda: 2, "norm_type": lambda: 2.0, "upscale_factor": lambda: 2,
    "theta": lambda: floats(1, 2, 3), "grid": lambda: floats(1, 4, 4, 2), "log_probs": lambda: floats(3, 2, 4), "targets": lambda: ww.ones((2, 1), dtype="int64"),
    "input_lengths": lambda: [3, 3], "target_lengths": lambda: [1, 1], "downscale_factor": lambda: 2, "indices": lambda: ints(1, 1, 2, 2), "tensor": lambda: ints(2),
}  # fmt: skip


def _picture(*more: str) -> dict[str, Callable[[], Any]]:
    return {"input": lambda: floats(1, 4, 4, 4), **dict.fromkeys(more, lambda: floats(4, 4, 2, 2))}


def _line(*more: str) -> dict[str, Callable[[], Any]]:
    return {"input": lambda: floats(1, 4, 4), **dict.fromkeys(more, lambda: floats(4, 4, 2))}


_CLASSES: dict[str, Callable[[], Any]] = {"target": lambda: ints(2)}

FUNCTIONAL_FOR: dict[str, dict[str, Callable[[], Any]]] = {
    **dict.fromkeys(("conv2d", "conv_transpose2d"), _picture("weight")), **dict.fromkeys(("conv1d", "conv_transpose1d"), _line("weight")),
    **dict.fromkeys(("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "lp_pool2d", "interpolate", "upsample", "upsample_bilinear", "upsample_nearest", "unfold", "pixel_shuffle",
                     "pixel_unshuffle", "channel_shuffle", "dropout1d", "dropout2d", "dropout3d", "instance_norm", "local_response_norm"), _picture()),
    **dict.fromkeys(("max_pool1d", "avg_pool1d", "adaptive_avg_pool1d", "adaptive_max_pool1d", "lp_pool1d", "dropout1d"), _line()),
    **dict.fromkeys(("cross_entropy", "nll_loss", "multi_margin_loss"), _CLASSES), "cosine_embedding_loss": {"target": lambda: floats(2)},
    "max_unpool2d": {"input": lambda: floats(1, 1, 2, 2), "indices": lambda: ints(1, 1, 2, 2)},
    "max_unpool1d": {"input": lambda: floats(1, 1, 2), "indices": lambda: ints(1, 1, 2)}, "fold": {"input": lambda: floats(1, 4, 1)},
    "threshold": {"value": lambda: 1.0}, "bilinear": {"weight": lambda: floats(3, 2, 2)}, "prelu": {"weight": lambda: floats(2)},
    "grid_sample": _picture(), "fractional_max_pool2d": {**_picture(), "output_size": lambda: 2}, "multilabel_margin_loss": {"target": lambda: ints(2, 2)},
    "affine_grid": {"size": lambda: (1, 1, 2, 2)}, "embedding": {"input": lambda: ints(2)}, "embedding_bag": {"input": lambda: ints(2, 2)}, "group_norm": {"x": lambda: floats(2, 4)},
}  # fmt: skip


class Stranger:
    def __repr__(self) -> str:
        return "<a stranger>"


def bad_values() -> dict[str, Any]:
    readonly = np.zeros((2, 2), "float32")
    readonly.flags.writeable = False
    return {
        "None": None, "a string": "no such thing", "an object": Stranger(), "a dict": {}, "bytes": b"abc", "an empty list": [],
        "a list of strings": ["a"], "a set": {1}, "a function": len, "NaN": float("nan"), "infinity": float("inf"), "-1": -1, "half": 0.5,
        "2**62": 2**62, "10**30": 10**30, "-(2**63)": -(2**63), "1j": 1j, "True": True, "an absurd shape": (2**31, 2**31, 2**31), "a negative shape": (-1, -5),
        "many dimensions": (1,) * 70, "a shape of floats": (1.5, 2), "a NumPy array": np.zeros((2, 2)), "a list of NaN": [float("nan")],
        "another shape": floats(3, 5, 7), "0-d": floats()[()], "zero size": floats(0, 3), "13 dimensions": floats(*(1,) * 13), "bool": bools(2, 2),
        "int8": ww.ones((2, 2), dtype="int8"), "uint64": ww.ones((2, 2), dtype="uint64"), "complex": ww.asarray(np.ones((2, 2), "complex64")),
        "bfloat16": ww.ones((2, 2), dtype=ww.bfloat16), "float16": ww.ones((2, 2), dtype="float16"), "float64": ww.ones((2, 2), dtype="float64"),
        "NaN tensor": ww.full((2, 2), float("nan")), "index 99": ww.full((2, 2), 99), "index -99": ww.full((2, 2), -99),
        "a 1-d index 99": ww.asarray(np.array([99])), "read-only": ww.asarray(readonly), "requires grad": ww.ones((2, 2), requires_grad=True),
        "a device": ww.device("cpu"), "a dtype": ww.float32, "object array": np.array([None, 1], object),
    }  # fmt: skip


ELSEWHERE = "a good value on another device"
FROM_ANYWHERE = {"nn.functional.ctc_loss"}  # as in PyTorch: labels may lie on the CPU beside log_probs on a GPU


def elsewhere(good: Callable[[], Any] | None) -> dict[str, Any]:
    """The good value on another device, where it is a tensor, or holds some."""
    value = None if good is None else good()
    if isinstance(value, ww.Tensor):
        return {ELSEWHERE: value.detach().to("cudasim")}
    if isinstance(value, list) and value and isinstance(value[0], ww.Tensor):
        return {ELSEWHERE: [value[0].detach().to("cudasim"), *value[1:]]}
    return {}


def find(name: str) -> Callable[..., Any]:
    """The function of that name in `ww`, or for nn.functional.name there."""
    return functools.reduce(getattr, name.split("."), ww)


def functional() -> list[str]:
    """The functions of nn.functional; those that the top namespace has as well are there."""
    return [f"nn.functional.{name}" for name in ww.nn.functional.__all__ if name not in dir(ww)]


def functions() -> list[str]:
    found = []
    for name in dir(ww):
        function = getattr(ww, name)
        if name.startswith("_") or inspect.ismodule(function) or inspect.isclass(function) or not callable(function):
            continue
        if inspect.signature(function).parameters:
            found.append(name)
    return found


def calls(name: str) -> Iterator[tuple[str, str, Callable[[], Any], list[ww.Tensor]]]:
    """(argument, what it got, the call, the tensors that it must leave alone) for each bad value of each argument."""
    function, parameters = find(name), inspect.signature(find(name)).parameters
    special = {**FUNCTIONAL, **FUNCTIONAL_FOR.get(name.split(".")[-1], {})} if "." in name else GOOD_FOR.get(name, {})
    for wrong in parameters.values():
        good = special.get(wrong.name, GOOD.get(wrong.name)) if wrong.default is wrong.empty or wrong.name in special else None
        for what, bad in {**bad_values(), **elsewhere(good)}.items():
            positional: list[Any] = []
            keywords: dict[str, Any] = {}
            for p in parameters.values():
                if p is wrong:
                    value: Any = bad
                elif p.default is p.empty or p.name in special and ("." not in name or p.name == "size"):
                    value = special.get(p.name, GOOD.get(p.name))()  # type: ignore[misc]
                else:
                    continue
                if (
                    p.kind is p.POSITIONAL_ONLY
                    or p.kind is p.VAR_POSITIONAL
                    or p.kind is p.POSITIONAL_OR_KEYWORD
                    and not keywords
                    and len(positional) == list(parameters).index(p.name)
                ):
                    # a function that takes an argument only by place has all before it given
                    positional.append(value)
                else:
                    keywords[p.name] = value
            places = [p for p in parameters.values() if p.kind is p.POSITIONAL_ONLY]
            if wrong in places and len(positional) <= places.index(wrong):  # an optional one before it was left out
                continue
            # As documented.
            changed = {"running_mean", "running_var"} | {"max_norm": {"weight"}, "inplace": {"input"}}.get(wrong.name, set())
            given = [*zip(parameters, positional), *keywords.items()]
            tensors = [v for name_, v in given if isinstance(v, ww.Tensor) and name_ not in changed]
            yield wrong.name, what, lambda p=positional, k=keywords: function(*p, **k), tensors


def named(name: str, text: str) -> bool:
    """The text names the op and an argument of it: which of two that do not fit is the wrong one, nobody can tell.

    A device is looked up by `ww.device`, whose text begins with "device:"; a kernel's begins with its name and calls its output y.
    """
    words = [*inspect.signature(find(name)).parameters]
    if "." in name:
        words += ["x", "w", "b"]  # nn.functional's formulas: input, weight and bias
        name = name.split(".")[-1]
    if text.startswith("device: expected one of"):
        return bool({"device", "which"} & set(words))
    if re.match(r"\w+_forward: expected y of at most \d+ dimensions", text):  # an op made of kernels
        return True
    op = re.match(rf"{re.escape(name)}(_forward)?: ", text)
    return op is not None and any(re.search(rf"\b{re.escape(w)}\b", text[op.end() :]) for w in (*words, "y"))


# What every function may raise without saying so in its docstring: whitewolf/_errors.py states it once, and the reference shows it.
GENERAL = {
    "TypeError": "", "MemoryError": "", "OverflowError": "", "DeviceError": "",
    "ValueError": r"of at most \d+ dimensions|broadcast|each axis once|writ(e|ab)|read-only",
    "IndexError": r"expected \w*(axis|axes|axis\d|dim|start_dim|end_dim|source|destination)\w* in \[",
}  # fmt: skip


def documented(function: Any, error: BaseException) -> bool:
    """The `Raises:` of the docstring, or of the text that is given, names the error's type, or one that it is a kind of; or the error is one of the general rule."""
    names = [c.__name__ for c in type(error).__mro__ if c not in (Exception, BaseException, object)]
    if any(name in GENERAL and re.search(GENERAL[name], str(error)) for name in names):
        return True
    text = function if isinstance(function, str) else function.__doc__ or ""
    raises = " ".join(part.partition("\n\n")[0] for part in text.split("Raises:")[1:])
    return any(re.search(rf"\b{name}\b", raises) for name in names)


def limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def main(names: list[str]) -> None:
    limit_memory()
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", RuntimeWarning)  # NumPy's, which say nothing of the op
    threads, recording = ww.get_num_threads(), ww.is_grad_enabled()
    for name in names:
        print(json.dumps({"function": name}), flush=True)
        count = 0
        for argument, what, call, tensors in calls(name):
            count += 1
            before = [t.numpy().tobytes() for t in tensors]
            problem = ""
            try:
                call()
                if what == ELSEWHERE and name not in FROM_ANYWHERE and len({t.device for t in tensors}) > 1:
                    problem = "took tensors of two devices"
            except TYPED as error:
                if not named(name, str(error)):
                    problem = f"{type(error).__name__}: {error}"
                elif not documented(find(name), error):
                    problem = f"not in its docstring: {type(error).__name__}: {error}"
            except BaseException as error:
                problem = f"untyped {type(error).__name__}: {error}"
            if [t.numpy().tobytes() for t in tensors] != before:
                problem = "an input has changed"
            if problem:
                print(json.dumps({"function": name, "argument": argument, "value": what, "problem": problem[:300]}), flush=True)
        ww.set_num_threads(threads)
        ww.set_poison(False)
        ww.set_grad_enabled(recording)
        print(json.dumps({"function": name, "calls": count}), flush=True)


def arguments(words: list[str]) -> tuple[list[str]]:
    return (words,)
