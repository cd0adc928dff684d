"""Datasets and loaders."""

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
