"""Weights computed from others before each call: weight normalisation and spectral normalisation, under PyTorch's names and keys.

A pre-forward hook computes the weight and leaves it as an attribute of the layer, and a hook behind the call leaves its values outside the
graph: so the layer can be copied, and its weight read, at any time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..._named import checked
from ...autograd import no_grad
from ...ops._common import MAX_LAYERS, check_count, normalize_axis
from ...ops.elementwise import divide, multiply, sqrt
from ...ops.manipulation import permute_dims, reshape
from ...ops.matmul import matmul
from ...ops.random import normal
from ...ops.reduce import sum, sum_squares
from ...tensor import Tensor
from ..functional.shape import normalize
from ..layers.recurrent import _Unit
from ..module import Module
from ..parameter import Parameter, overwrite


class _Computed:
    """What computes one weight of one module; in the list of what computes weights there, `_computed`."""

    def __init__(self, kind: str, name: str, compute: Callable[[Module], Tensor]) -> None:
        self.kind, self.name, self.compute = kind, name, compute

    def before(self, module: Module, args: Any) -> None:
        module.__dict__[self.name] = self.compute(module)

    def after(self, module: Module, args: Any, output: Any) -> None:
        module.__dict__[self.name] = module.__dict__[self.name].detach()

    def attach(self, module: Module) -> None:
        hooks = (module.register_forward_pre_hook(self.before, prepend=True), module.register_forward_hook(self.after))
        module.__dict__.setdefault("_computed", []).append((self, hooks))
        with no_grad():
            self.before(module, ())


def _weight(op: str, module: Module, name: str) -> Parameter:
    """The parameter of that name, which is taken out of the module."""
    if isinstance(module, _Unit):
        raise TypeError(
            f"{op}: expected module to read its weight when it is called, got {type(module).__name__}, which keeps a list"
        )
    found = module._parameters.get(name)
    if found is None:
        raise ValueError(f"{op}: expected name to be a parameter of {type(module).__name__}, got {name!r}")
    del module._parameters[name]
    return found


def _norm(x: Tensor, dim: int | None) -> Tensor:
    """The norm over all dimensions but `dim`, with size 1 in their place; over all, 0-d, for None."""
    if dim is None:
        return sqrt(sum_squares(x))
    return sqrt(sum_squares(x, axis=tuple(i for i in range(x.ndim) if i != dim), keepdims=True))


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Splits a weight into its length and its direction: w = g v / |v| (Salimans and Kingma 2016, equation 2), g and v learned.

    Args:
        module: whose parameter `name` becomes `name`_g and `name`_v.
        dim: the dimension along which each slice has a length of its own; None for one length of all.

    Returns:
        The module, which is changed.

    Raises:
        ValueError: there is no such parameter.
        IndexError: `dim` is outside.

    >>> import whitewolf as ww
    >>> layer = ww.nn.utils.weight_norm(ww.nn.Linear(4, 3))
    >>> [(name, p.shape) for name, p in layer.named_parameters()]
    [('bias', (3,)), ('weight_g', (3, 1)), ('weight_v', (3, 4))]
    """
    weight = module._parameters.get(name)
    if dim == -1:  # as in PyTorch
        dim = None
    axis = None if dim is None or weight is None else normalize_axis("weight_norm", dim, weight.ndim, "dim")
    weight = _weight("weight_norm", module, name)
    with no_grad():
        module.register_parameter(f"{name}_g", Parameter(_norm(weight.detach(), axis)))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))

    def compute(module: Module) -> Tensor:
        g, v = module._parameters[f"{name}_g"], module._parameters[f"{name}_v"]
        assert g is not None and v is not None
        return multiply(v, divide(g, _norm(v, axis)))

    _Computed("weight_norm", name, compute).attach(module)
    return module


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Divides a weight by its largest singular value, which power iterations estimate (Miyato et al. 2018, algorithm 1).

    Args:
        module: whose parameter `name` becomes `name`_orig, beside the buffers `name`_u and `name`_v.
        n_power_iterations: how many at each call in training; none in use.
        eps: against division by zero.
        dim: the dimension of the outputs; 1 for transposed convolutions and 0 for others unless given.

    Returns:
        The module, which is changed.

    Raises:
        ValueError: there is no such parameter, or n_power_iterations is outside [1, 10_000].
        IndexError: `dim` is outside.

    >>> import whitewolf as ww
    >>> layer = ww.nn.utils.spectral_norm(ww.nn.Linear(4, 3))
    >>> sorted(layer.state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    from ..layers.conv import ConvTranspose2d  # layers use this room

    check_count("spectral_norm", "n_power_iterations", n_power_iterations, 1, MAX_LAYERS)
    found = module._parameters.get(name)
    if dim is None:
        dim = 1 if isinstance(module, ConvTranspose2d) else 0
    axis = dim if found is None else normalize_axis("spectral_norm", dim, found.ndim, "dim")
    weight = _weight("spectral_norm", module, name)

    def matrix(w: Tensor) -> Tensor:
        order = (axis, *(i for i in range(w.ndim) if i != axis))
        return reshape(permute_dims(w, order), (w.shape[axis], -1))

    def unit(x: Tensor) -> Tensor:
        return normalize(x, dim=0, eps=eps)

    module.register_parameter(f"{name}_orig", weight)
    rows, columns = matrix(weight.detach()).shape
    for letter, n in (("u", rows), ("v", columns)):
        module.register_buffer(f"{name}_{letter}", unit(normal(n, dtype=weight.dtype, device=weight.device)))

    def compute(module: Module) -> Tensor:
        w, u, v = module._parameters[f"{name}_orig"], module._buffers[f"{name}_u"], module._buffers[f"{name}_v"]
        assert w is not None and u is not None and v is not None
        flat = matrix(w)
        if module.training and "_computed" in module.__dict__:
            with no_grad():
                for _ in range(n_power_iterations):
                    overwrite(v, unit(matmul(flat.detach().T, u)))
                    overwrite(u, unit(matmul(flat.detach(), v)))
        return divide(w, sum(multiply(u.clone(), matmul(flat, v.clone()))))  # copies: the next call writes to u and v

    _Computed("spectral_norm", name, compute).attach(module)
    return module


def _remove(op: str, kind: str, module: Module, name: str, parts: tuple[str, ...]) -> Module:
    for entry in module.__dict__.get("_computed", []):
        computed, hooks = entry
        if (computed.kind, computed.name) != (kind, name):
            continue
        training, module.training = module.training, False  # no further power iteration
        with no_grad():
            value = computed.compute(module)
        module.training = training
        for hook in hooks:
            hook.remove()
        module.__dict__["_computed"].remove(entry)
        del module.__dict__[name]
        for part in parts:
            delattr(module, f"{name}_{part}")
        module.register_parameter(name, Parameter(value.detach()))
        return module
    raise ValueError(f"{op}: expected name of a weight that {kind} made for {type(module).__name__}, got {name!r}")


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Makes the weight a parameter again, with the value that it has.

    Raises:
        ValueError: `weight_norm` made none of that name.

    >>> import whitewolf as ww
    >>> layer = ww.nn.utils.remove_weight_norm(ww.nn.utils.weight_norm(ww.nn.Linear(4, 3)))
    >>> sorted(layer.state_dict())
    ['bias', 'weight']
    """
    return _remove("remove_weight_norm", "weight_norm", module, name, ("g", "v"))


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Makes the weight a parameter again, with the value that it has.

    Raises:
        ValueError: `spectral_norm` made none of that name.

    >>> import whitewolf as ww
    >>> layer = ww.nn.utils.remove_spectral_norm(ww.nn.utils.spectral_norm(ww.nn.Linear(4, 3)))
    >>> sorted(layer.state_dict())
    ['bias', 'weight']
    """
    return _remove("remove_spectral_norm", "spectral_norm", module, name, ("orig", "u", "v"))


_FUNCTIONS = (weight_norm, remove_weight_norm, spectral_norm, remove_spectral_norm)
globals().update({_function.__name__: checked(_function) for _function in _FUNCTIONS})
