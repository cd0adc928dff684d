"""Optimizers over all parameters in one pass, with PyTorch's names, arguments, defaults and state."""

from __future__ import annotations

from . import lr_scheduler
from .algorithms import SGD, Adagrad, Adam, AdamW, RMSprop
from .optimizer import Optimizer

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "lr_scheduler"]
