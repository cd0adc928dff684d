"""Layers, losses, initial values: PyTorch's names, arguments, state_dict keys and weight layouts."""

from . import functional, init, utils
from .containers import ModuleDict, ModuleList, ParameterList, Sequential
from .layers import *  # noqa: F403
from .layers import __all__ as _layers
from .module import Module
from .parameter import Parameter

__all__ = [
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ParameterList",
    "Sequential",
    "functional",
    "init",
    "utils",
    *_layers,
]


def __getattr__(name: str) -> object:
    hint = "; windows slide along one or two dimensions (docs/pytorch.md)" if name.endswith("3d") else ""
    raise AttributeError(f"module 'whitewolf.nn' has no attribute {name!r}{hint}")
