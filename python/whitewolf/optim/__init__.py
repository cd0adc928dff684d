"""Optimizers over all parameters in one pass, with PyTorch's names, arguments, defaults and state."""

from __future__ import annotations

from .._named import check_methods
from . import lr_scheduler
from .adam import Adam, AdamW
from .algorithms import SGD, Adagrad, RMSprop
from .composed import Adadelta, Adamax, NAdam, RAdam
from .optimizer import Optimizer

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "Optimizer", "RAdam", "RMSprop", "lr_scheduler"]

check_methods(
    SGD, Adadelta, Adagrad, Adam, AdamW, Adamax, NAdam, RAdam, RMSprop, Optimizer,
    methods=("__init__", "add_param_group", "load_state_dict"),
)  # fmt: skip
