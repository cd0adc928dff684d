"""Files: safetensors with checksums, and checkpoints. Nothing here ever writes or reads a pickle."""

from .._named import checked as _checked
from .checkpoint import load_checkpoint, save_checkpoint
from .safetensors import load, save

__all__ = ["load", "load_checkpoint", "save", "save_checkpoint"]

globals().update({_function.__name__: _checked(_function) for _function in (load, load_checkpoint, save, save_checkpoint)})
