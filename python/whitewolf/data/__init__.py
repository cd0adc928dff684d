"""Datasets and loaders."""

from .dataset import Dataset, TensorDataset, collate
from .datasets import digits, mnist
from .idx import read_idx
from .loader import DataLoader
from .transforms import RandomShift

__all__ = ["DataLoader", "Dataset", "RandomShift", "TensorDataset", "collate", "digits", "mnist", "read_idx"]
