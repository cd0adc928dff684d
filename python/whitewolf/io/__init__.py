"""Files: safetensors with checksums, and checkpoints. Nothing here ever writes or reads a pickle."""

from .checkpoint import load_checkpoint, save_checkpoint
from .safetensors import load, save

__all__ = ["load", "load_checkpoint", "save", "save_checkpoint"]
