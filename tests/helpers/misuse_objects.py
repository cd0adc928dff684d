"""Generated misuse of classes, their objects and the rooms beside the top namespace: constructors with each argument in turn replaced by
each bad value, what a layer computes likewise, methods, files and initialisers. Runs in a child process; main and the contract are as
in helpers/misuse.py, and: each call ends within SECONDS; what a constructor accepts, computes.
"""

from __future__ import annotations

import inspect
import json
import re
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import whitewolf as ww
from whitewolf import amp, autograd, data, io, nn, optim

from helpers.misuse import ELSEWHERE, GOOD, TYPED, bad_values, documented, elsewhere, floats, ints, limit_memory
from helpers.public_classes import CLASSES, CONTAINERS, MADE_OF, MADE_OF_FOR, arguments_of, build, inputs_of, use
from helpers.public_functions import FUNCTIONS, METHODS, OPERATORS

SECONDS = 10
# As in PyTorch, labels and lengths may lie on the CPU beside what is on a GPU.
FROM_ANYWHERE = {"nn.CTCLoss", "rnn.pack_padded_sequence", "rnn.unpad_sequence"}


def bad_for(parameter: str) -> dict[str, Any]:
    """The bad values; where a function is wanted, one is none of them: what it does is its own business."""
    values = bad_values()
    if parameter in ("fn", "closure", "function", "collate_fn", "transform", "lr_lambda", "activation", "distance_function"):
        del values["a function"]
    return values


class Call:
    """One call: what is wrong about it, the call, the tensors that it must leave alone, and the names that its error may use."""

    def __init__(self, argument: str, what: str, run: Callable[[], Any], names: list[str], keep: list[Any] | None = None) -> None:
        self.argument, self.what, self.run, self.names, self.keep = argument, what, run, names, keep or []


def constructors(name: str) -> Iterator[Call]:
    cls, short = CLASSES[name], name.split(".")[-1]
    good = MADE_OF | MADE_OF_FOR.get(short, {})
    parameters = [p for p in inspect.signature(cls).parameters.values() if p.kind is not p.VAR_KEYWORD]
    for p in parameters:
        for what, bad in bad_for(p.name).items():
            args, kwargs = arguments_of(cls, good, short, p.name, bad)

            def run(args: Any = args, kwargs: Any = kwargs) -> None:
                made = cls(*args, **kwargs)
                if isinstance(made, nn.Module) and short not in CONTAINERS:
                    use(made, short)
                if isinstance(made, optim.Optimizer) and type(made) is not optim.Optimizer:
                    made.step()
                if name.startswith("optim.lr_scheduler"):
                    made.step(1.0) if short == "ReduceLROnPlateau" else made.step()
                if isinstance(made, data.DataLoader):
                    next(iter(made), None)

            yield Call(
                p.name, what, run, [q.name for q in parameters] + ["input", "x", "w", "weight", "sample", "closure", "metric"]
            )


def forwards(name: str) -> Iterator[Call]:
    short = name.split(".")[-1]
    layer = build(name, CLASSES[name])
    state = [*layer.parameters()]
    parameters = [p for p in inspect.signature(layer.forward).parameters if p not in ("args", "kwargs")]
    for parameter in parameters:
        given = {k: (lambda v=v: v) for k, v in inputs_of(short).items()}
        for what, bad in {**bad_for(parameter), **elsewhere(given.get(parameter))}.items():
            args, kwargs = arguments_of(layer.forward, given, "", parameter, bad)
            keep = [t for t in (*args, *kwargs.values(), *state) if isinstance(t, ww.Tensor)]
            yield Call(
                parameter,
                what,
                lambda a=args, k=kwargs: layer(*a, **k),
                [*parameters, "x", "w", "b", "input", "projected", "weight"],
                keep,
            )


def functions(name: str) -> Iterator[Call]:
    make, good = FUNCTIONS[name]
    parameters = [p for p in inspect.signature(make()).parameters.values() if p.kind is not p.VAR_KEYWORD]
    for p in parameters:
        values = {**bad_for(p.name), **elsewhere(good.get(p.name))} if p.kind is not p.VAR_POSITIONAL or p.name in good else {}
        for what, bad in values.items():
            args, kwargs = arguments_of(make(), good, "", p.name, bad)
            keep = (
                []
                if name.split(".")[-1].endswith("_") or "vector_to" in name
                else [t for t in (*args, *kwargs.values()) if isinstance(t, ww.Tensor)]
            )
            yield Call(p.name, what, lambda a=args, k=kwargs: make()(*a, **k), [q.name for q in parameters], keep)


# Methods of tensors that take arguments, on a good tensor.


def methods(name: str) -> Iterator[Call]:
    try:
        parameters = [p for p in inspect.signature(getattr(ww.Tensor, name)).parameters.values()][1:]
    except ValueError:
        return
    good = GOOD | {"start_dim": lambda: 0, "target": lambda: "float64", "indices": lambda: ints(2), "x2": lambda: 2.0, "shape": lambda: (4,),
                   "sizes": lambda: 4, "device": lambda: "cpu", "device_or_dtype": lambda: "float64", "args": lambda: 4, "size": lambda: (2, 2), "targets": lambda: "float64", "dims": lambda: 0, "shift": lambda: 1}  # fmt: skip
    good |= {"key": lambda: 0, "value": lambda: 1.0, "other": lambda: floats(2, 2)}
    good |= {"index": lambda: ints(2)} if name.startswith("index_") else {}
    for p in parameters:
        if p.kind is p.VAR_KEYWORD:
            continue
        for what, bad in bad_for(p.name).items():
            x = floats(2, 2).requires_grad_() * 1 if name == "backward" else floats(2, 2)
            args, kwargs = [], {}
            for q in parameters:
                value = bad if q is p else good[q.name]() if q.default is q.empty and q.kind is not q.VAR_KEYWORD else None
                if q is not p and q.default is not q.empty:
                    continue
                if q.kind in (q.POSITIONAL_ONLY, q.VAR_POSITIONAL):
                    args.append(value)
                else:
                    kwargs[q.name] = value
            keep = (
                []
                if name.endswith("_") and name not in OPERATORS or name in ("__setitem__", "__iadd__", "__imatmul__", "__imul__")
                else [x, *(t for t in args if isinstance(t, ww.Tensor))]
            )
            yield Call(
                p.name,
                what,
                lambda x=x, a=args, k=kwargs: getattr(x, name)(*a, **k),
                [q.name for q in parameters]
                + ["x", "x1", "x2", "shape", "axis", "axes"]
                + (["an index", "a tensor", "result", "x1", "x2", "operands"] if name in OPERATORS else []),
                keep,
            )


ROOMS = {"nn": nn, "init": nn.init, "utils": nn.utils, "rnn": nn.utils.rnn, "optim": optim, "optim.lr_scheduler": optim.lr_scheduler, "data": data, "io": io,
         "amp": amp, "random": ww.random, "autograd": autograd, "kernels": ww.kernels}  # fmt: skip

PASSED_OVER = {
    "they compute what the modules in them compute": ("call nn.Sequential",),
    "they hold modules or parameters, and compute nothing": ("call nn.Module", "call nn.ModuleDict", "call nn.ModuleList", "call nn.ParameterList"),
    "a subclass defines them": ("new optim.lr_scheduler.LRScheduler", "function Function.backward"),
    "ops call them, with what is the engine's own": (
        "function autograd.record", "function autograd.save_output", "function autograd.saved_output", "function random.take_blocks",
        "function Device.hold"),
    "a NamedTuple: what is in it is held where it is used": ("new rnn.PackedSequence",),
    "it reaches for the network: tests/test_download.py": ("function data.download",),
}  # fmt: skip


def public() -> set[str]:
    """Every public class, function and method of the rooms that takes an argument, as targets; helpers/misuse.py has the functions beside."""
    found: set[str] = set()
    classes = {value for value in vars(ww).values() if inspect.isclass(value)}
    for room, module in ROOMS.items():
        for name in getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]:
            value = getattr(module, name)
            if not callable(value) or not hasattr(module, "__all__") and not value.__module__.startswith(module.__name__):
                continue
            if inspect.isclass(value):
                classes.add(value)
                found |= {f"new {room}.{name}"} if inspect.signature(value).parameters else set()
                found |= {f"call {room}.{name}"} if issubclass(value, nn.Module) else set()
            elif (inspect.isbuiltin(value) or inspect.signature(value).parameters) and value is not getattr(ww, name, None):
                found.add(f"function {room}.{name}")
    for cls in classes:
        for name in dir(cls):
            owner = next((c for c in cls.__mro__ if name in vars(c)), object)
            method = getattr(cls, name)
            if name.startswith("_") or not inspect.isfunction(method) or not owner.__module__.startswith("whitewolf"):
                continue
            # What a layer computes is a call of it; what a subclass defines is its own business.
            if (
                owner is ww.Tensor
                or name in ("forward", "function", "rectified", "rate", "momentum")
                or len(inspect.signature(method).parameters) < 2
            ):
                continue
            place = {"Tree": "Module", "_Listed": "Sequential", "_WithMomentum": "OneCycleLR"}.get(owner.__name__, owner.__name__)
            found.add(f"function {place}.{method.__name__}")
    return found


KINDS: dict[str, Callable[[str], Iterator[Call]]] = {
    "new": constructors,
    "call": forwards,
    "function": functions,
    "method": methods,
}


def targets() -> list[str]:
    layers = [n for n in CLASSES if n.startswith("nn.") and n.split(".")[-1] not in (*CONTAINERS, "Parameter")]
    return [
        *(f"new {n}" for n in CLASSES),
        *(f"call {n}" for n in layers),
        *(f"function {n}" for n in FUNCTIONS),
        *(f"method {n}" for n in METHODS),
    ]


# What ops below call a layer's arguments: those of `x.reshape` and `asarray`, a module that holds others, an epsilon.
BELOW = ["obj", "module", "target", "eps", "requires_grad", "targets", "shape", "file"]


def named(names: list[str], text: str) -> bool:
    """The text begins with an op, a class or a method, and names an argument of it, or of the op below that noticed."""
    if text.startswith("device: expected one of"):
        return True
    if re.match(r"\w+_forward: expected y of at most \d+ dimensions", text):
        return True
    match = re.match(r"[A-Za-z_]\w*(\.\w+)*: ", text)
    return match is not None and any(re.search(rf"\b{re.escape(w)}\b", text[match.end() :]) for w in (*names, *BELOW))


def told(kind: str, name: str, error: BaseException) -> str:
    """What is written about errors. Of a method in its docstring, else in its class's; of a class in its own, and, as whitewolf/_errors.py
    has it, that a constructor may raise ValueError, and a layer what its function raises."""
    if kind == "method":
        return inspect.getdoc(getattr(ww.Tensor, name)) or ""
    if kind == "function":
        function = FUNCTIONS[name][0]()
        owner = getattr(function, "__self__", None)
        return (function.__doc__ or "") + ("" if owner is None or inspect.ismodule(owner) else type(owner).__doc__ or "")
    cls = CLASSES[name]
    texts = [cls.__doc__, cls.__init__.__doc__, "Raises: ValueError"]
    if issubclass(cls, nn.Module):
        texts += [
            cls.forward.__doc__,
            *(getattr(getattr(nn.functional, op, None), "__doc__", "") for op in re.findall(r"(\w+): expected", str(error))),
        ]
    return "\n\n".join(filter(None, texts))


def _late(number: int, frame: Any) -> None:
    raise TimeoutError(f"no end within {SECONDS} s")


def main(names: list[str]) -> None:
    limit_memory()
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", RuntimeWarning)  # NumPy's, which say nothing of the op
    signal.signal(signal.SIGALRM, _late)
    with tempfile.TemporaryDirectory() as folder:
        import os

        os.chdir(folder)
        for target in names:
            kind, name = target.split(" ", 1)
            print(json.dumps({"function": target}), flush=True)
            count = 0
            for call in KINDS[kind](name):
                count += 1
                before = [t.numpy().tobytes() for t in call.keep]
                problem = ""
                signal.alarm(SECONDS)
                try:
                    call.run()
                    if call.what == ELSEWHERE and len({t.device for t in call.keep}) > 1 and name not in FROM_ANYWHERE:
                        problem = "took tensors of two devices"
                except (*TYPED, OSError, RuntimeError) as error:
                    if isinstance(error, TimeoutError):
                        problem = f"a hang: {error}"
                    elif not named(call.names, str(error)) and not isinstance(error, OSError):
                        problem = f"{type(error).__name__}: {error}"
                    elif not documented(told(kind, name, error), error):
                        problem = f"not in its docstring: {type(error).__name__}: {error}"
                except (KeyError, AttributeError) as error:  # there is nothing of that name, as documented
                    text = str(error.args[0] if error.args else "")
                    known = kind == "function" and named(call.names, text) and documented(told(kind, name, error), error)
                    problem = "" if known else f"untyped {type(error).__name__}: {text}"
                except AssertionError as error:  # what gradcheck is for
                    problem = "" if str(error).startswith("gradcheck: ") else f"untyped AssertionError: {error}"
                except BaseException as error:
                    problem = f"untyped {type(error).__name__}: {error}"
                finally:
                    signal.alarm(0)
                if [t.numpy().tobytes() for t in call.keep] != before:
                    problem = "an input has changed"
                if problem:
                    line = {"function": target, "argument": call.argument, "value": call.what, "problem": problem[:300]}
                    print(json.dumps(line), flush=True)
            print(json.dumps({"function": target, "calls": count}), flush=True)


def arguments(words: list[str]) -> tuple[list[str]]:
    return (words,)
