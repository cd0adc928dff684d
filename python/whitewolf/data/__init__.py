"""Datasets and loaders."""

from .._named import check_methods as _check_methods
from .._named import checked as _checked
from .dataset import Dataset, TensorDataset, collate
from .datasets import digits, mnist
from .download import download
from .idx import read_idx
from .loader import DataLoader
from .pictures import ImageFolder, cifar10
from .transforms import ColourJitter, Compose, Normalize, RandomCrop, RandomFlip, RandomShift

__all__ = [
    "ColourJitter",
    "Compose",
    "DataLoader",
    "Dataset",
    "ImageFolder",
    "Normalize",
    "RandomCrop",
    "RandomFlip",
    "RandomShift",
    "TensorDataset",
    "cifar10",
    "collate",
    "digits",
    "download",
    "mnist",
    "read_idx",
]

_check_methods(ColourJitter, Compose, DataLoader, ImageFolder, Normalize, RandomCrop, RandomShift, TensorDataset)
_check_methods(ColourJitter, Normalize, RandomCrop, RandomFlip, RandomShift, methods=("__call__",))
_check_methods(TensorDataset, methods=("__getitem__", "batch"))
globals().update({_function.__name__: _checked(_function) for _function in (cifar10, collate, digits, download, mnist, read_idx)})
