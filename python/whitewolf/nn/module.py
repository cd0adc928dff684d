"""Module: parameters, buffers and modules under names, as users of PyTorch know them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .._named import check_methods
from ..device import NAMES, Device
from ..device import device as find_device
from ..dtypes import find_dtype, is_floating
from ..ops._common import check_flag
from ..tensor import Tensor
from .parameter import Parameter, rebind
from .state import Keys, load_state_dict
from .tree import Tree

if TYPE_CHECKING:
    from .hooks import Handle

Self = TypeVar("Self", bound="Module")

# Methods of PyTorch's modules that are absent, and what to use.
_ABSENT = {
    **dict.fromkeys(
        ("register_backward_hook", "register_full_backward_hook", "register_full_backward_pre_hook"),
        "ww.grad gives the gradient of any tensor; ww.autograd.Function changes it on its way",
    ),
    "compile": "kernels are compiled ahead; @ww.elementwise fuses a scalar function of your own",
    "share_memory": "data.DataLoader's workers share memory by themselves",
    "type": "to(dtype), float(), double(), half() or bfloat16()",
}


class Module(Tree):
    """The base of all layers and networks.

    A subclass calls `super().__init__()`, makes its parameters and modules attributes, and defines `forward`. Calling the module
    calls `forward`, and the hooks of `register_forward_hook` where there are some.

    Attributes:
        training: whether layers that differ between training and use (dropout, batch normalisation) train; see `train`, `eval`.

    >>> import whitewolf as ww
    >>> class Net(ww.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = ww.nn.Linear(4, 3)
    ...     def forward(self, x):
    ...         return self.hidden(x).sum()
    >>> Net()
    Net(
      (hidden): Linear(in_features=4, out_features=3, bias=True)
    )
    >>> [name for name, _ in Net().named_parameters()]
    ['hidden.weight', 'hidden.bias']
    """

    training: bool
    _transient: set[str]  # buffers that state_dict leaves out

    def __init__(self) -> None:
        set_ = super().__setattr__
        set_("training", True)
        set_("_parameters", {})
        set_("_buffers", {})
        set_("_modules", {})
        set_("_transient", set())

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; a subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__}: expected the class to define forward, got none")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    # ---- attributes ----

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__  # in the order of how often they are asked for: a layer's call asks for its parameters
        if "_parameters" in own:
            if name in own["_parameters"]:
                return own["_parameters"][name]
            if name in own["_modules"]:
                return own["_modules"][name]
            if name in own["_buffers"]:
                return own["_buffers"][name]
        hint = f"; {_ABSENT[name]}" if name in _ABSENT else ""
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{hint}")

    def __setattr__(self, name: str, value: Any) -> None:
        registries = self.__dict__
        if isinstance(value, Parameter):
            self._free(name, "_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self._free(name, "_modules")
            self.add_module(name, value)
        elif name in registries.get("_parameters", ()):
            if value is not None:
                raise TypeError(f"{type(self).__name__}.{name}: expected a Parameter or None, got {type(value).__name__}")
            self._parameters[name] = None
        elif name in registries.get("_modules", ()):
            if value is not None:
                raise TypeError(f"{type(self).__name__}.{name}: expected a Module or None, got {type(value).__name__}")
            self._modules[name] = None
        elif name in registries.get("_buffers", ()):
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(f"{type(self).__name__}.{name}: expected a Tensor or None, got {type(value).__name__}")
            self._buffers[name] = value
        else:
            super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        for registry in (self._parameters, self._buffers, self._modules):
            if name in registry:
                del registry[name]
                self._transient.discard(name)
                return
        super().__delattr__(name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._buffers, *self._modules})

    def _free(self, name: str, registry: str) -> None:
        """Frees a name for what will stand in `registry`: assigning replaces whatever had it."""
        if "_parameters" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__}.{name}: expected super().__init__() before the first parameter or module")
        self.__dict__.pop(name, None)
        for other in ("_parameters", "_buffers", "_modules"):
            if other != registry:
                self.__dict__[other].pop(name, None)

    def _check_name(self, what: str, name: str, registry: Mapping[str, Any]) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{what}: expected name to be a string, got {type(name).__name__}")
        if not name or "." in name:
            raise KeyError(f"{what}: expected a name that is not empty and has no dot, got {name!r}")
        if name not in registry and hasattr(self, name):
            raise KeyError(f"{what}: expected a name that is free, got {name!r}, an attribute already")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Lists a parameter under `name`; None reserves the name for one that the module goes without."""
        self._check_name("register_parameter", name, self._parameters)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"register_parameter: expected param {name!r} to be a Parameter or None, got {type(param).__name__}")
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Lists a tensor that moves with the module but is not learned.

        Args:
            persistent: whether it is part of `state_dict`.
        """
        self._check_name("register_buffer", name, self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"register_buffer: expected tensor {name!r} to be a Tensor or None, got {type(tensor).__name__}")
        check_flag("register_buffer", "persistent", persistent)
        self._buffers[name] = tensor
        (self._transient.discard if persistent else self._transient.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Lists a module under `name`."""
        self._check_name("add_module", name, self._modules)
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"add_module: expected module {name!r} to be a Module or None, got {type(module).__name__}")
        self._modules[name] = module

    register_module = add_module

    # ---- hooks ----

    def register_forward_hook(self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False) -> Handle:
        """Calls hook(module, args, output) after each call; what it returns, unless None, takes the output's place.

        A module without hooks never asks for them, and `Sequential` fuses none that has some.

        Args:
            prepend: before the hooks that are there.
            with_kwargs: hook(module, args, kwargs, output).

        Returns:
            A handle, whose `remove` takes the hook away.
        """
        from .hooks import add_hook

        return add_hook("register_forward_hook", "_after", self, hook, prepend, with_kwargs)

    def register_forward_pre_hook(self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False) -> Handle:
        """Calls hook(module, args) before each call; what it returns, unless None, takes the arguments' place.

        Args:
            prepend: before the hooks that are there.
            with_kwargs: hook(module, args, kwargs), which returns a pair.

        Returns:
            A handle, whose `remove` takes the hook away.
        """
        from .hooks import add_hook

        return add_hook("register_forward_pre_hook", "_before", self, hook, prepend, with_kwargs)

    # ---- what is done to all of it ----

    def apply(self: Self, fn: Callable[[Module], Any]) -> Self:
        """Calls `fn` with each module below this one, children before parents, and then with this one; returns self."""
        if not callable(fn):
            raise TypeError(f"apply: expected fn to be a function, got {type(fn).__name__}")
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self: Self, mode: bool = True) -> Self:
        """Sets `training` here and below; returns self."""
        if not isinstance(mode, bool):
            raise TypeError(f"train: expected mode to be a bool, got {type(mode).__name__}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: Self) -> Self:
        """`train(False)`."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Sets requires_grad of all parameters; returns self."""
        check_flag("requires_grad_", "requires_grad", requires_grad)
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients of all parameters, or (set_to_none=False) fills them with zeros."""
        for parameter in self.parameters():
            if parameter._grad is not None and not set_to_none:
                parameter._grad = parameter._grad.detach()
                parameter._grad._data.fill(0)
                parameter._grad._overwritten()
            else:
                parameter._grad = None

    def to(self: Self, *targets: Any, device: str | Device | None = None, dtype: Any = None) -> Self:
        """Moves parameters and buffers to a device, a floating dtype, or both; returns self.

        They stay the same objects, so an optimizer that holds them goes on. Integer buffers keep their dtype.

        Args:
            targets: a device, a dtype, or one of each: `net.to("cpu")`, `net.to(ww.float64)`.

        Raises:
            TypeError: the dtype is not floating.
            ww.DeviceError: the device is not there.
        """
        for target in targets:
            if isinstance(target, Device) or isinstance(target, str) and target in NAMES:
                device = target
            else:
                dtype = target
        where = None if device is None else find_device(device)
        kind = None if dtype is None else find_dtype("to", dtype)
        if kind is not None and not is_floating(kind):
            raise TypeError(f"to: expected a floating dtype, got {kind}")

        def convert(tensor: Tensor) -> None:
            result = tensor.detach()
            if where is not None:
                result = result.to(where)
            if kind is not None and is_floating(result.dtype):
                result = result.to(kind)
            if result._data is not tensor._data:
                rebind(tensor, result._data, result.device)

        for module in self.modules():
            if "_options" in module.__dict__:  # a lazy layer: for the parameters that it will have
                asked = (("device", where), ("dtype", kind))
                module._options = module._options | {option: value for option, value in asked if value is not None}
        for _, tensor in (*self._named("_parameters", "", True, True), *self.named_buffers()):
            if tensor._grad is not None:
                grad = tensor._grad.detach()
                convert(grad)
                tensor._grad = grad
            convert(tensor)
        return self

    def float(self: Self) -> Self:
        """`to(ww.float32)`."""
        return self.to(np.float32)

    def double(self: Self) -> Self:
        """`to(ww.float64)`."""
        return self.to(np.float64)

    def half(self: Self) -> Self:
        """`to(ww.float16)`."""
        return self.to(np.float16)

    def bfloat16(self: Self) -> Self:
        """`to(ww.bfloat16)`."""
        return self.to("bfloat16")

    def cpu(self: Self) -> Self:
        """`to("cpu")`."""
        return self.to("cpu")

    def cuda(self: Self) -> Self:
        """`to("cuda")`.

        Raises:
            ww.DeviceError: there is no such device here.
        """
        return self.to("cuda")

    # ---- state ----

    def state_dict(self, prefix: str = "") -> dict[str, Tensor]:
        """Parameters and persistent buffers under their names, outside the graph; they share the module's memory.

        Raises:
            ValueError: a lazy layer has none before its first input.
        """
        found = {}
        for where, module in self.named_modules(remove_duplicate=False):
            if "_options" in module.__dict__:
                raise ValueError(
                    f"state_dict: expected {where or 'self'} ({type(module).__name__}) to have had a first input, which gives it "
                    "parameters; call the model once"
                )
            start = f"{prefix}{where}." if where else prefix  # a prefix is given with its dot
            for name, tensor in module._parameters.items():
                if tensor is not None:
                    found[start + name] = tensor.detach()
            for name, buffer in module._buffers.items():
                if buffer is not None and name not in module._transient:
                    found[start + name] = buffer.detach()
        return found

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Keys:
        """Copies values into parameters and buffers of the same names; floating dtypes convert.

        Everything is checked first: when it raises, nothing has changed.

        Args:
            state_dict: names and tensors, or anything that `ww.asarray` takes (PyTorch's state_dict, too).
            strict: names must be the same; otherwise those that are in both are loaded.

        Raises:
            ValueError: names (strict) or shapes differ; the text lists them all.
            TypeError: a value is no array, or its dtype does not convert.
        """
        return load_state_dict(self, state_dict, strict)

    # ---- in words ----

    def extra_repr(self) -> str:
        """What stands between the parentheses of `repr`; a subclass says its arguments."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = [f"({name}): " + repr(module).replace("\n", "\n  ") for name, module in self._modules.items()]
        if not lines:
            return f"{type(self).__name__}({extra})"
        return f"{type(self).__name__}(\n  " + "\n  ".join([*extra.splitlines(), *lines]) + "\n)"


check_methods(Module, methods=("state_dict", "zero_grad"))
