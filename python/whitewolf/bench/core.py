"""The suite `core`: the layers of the networks that people train, forward and with backward."""

from __future__ import annotations

from dataclasses import dataclass

from ..cases import Case, Input


@dataclass(frozen=True)
class Row:
    """A case of an op, and whether backward to every input is included. `quick` rows are in the short run as well."""

    op: str
    case: Case
    train: bool = False
    quick: bool = False


def matmul(name: str, m: int, k: int, n: int) -> Case:
    """(m, k) @ (k, n)."""
    return Case(name, (Input((m, k)), Input((k, n))), flops=2 * m * k * n, bytes=4 * (m * k + k * n + m * n), reduction=k)


def conv(name: str, n: int, c: int, size: int, k: int, r: int, stride: int, padding: int) -> Case:
    """Images [n, c, size, size] with k filters of r x r and a bias."""
    p = (size + 2 * padding - r) // stride + 1
    macs = n * k * p * p * c * r * r
    touched = n * c * size * size + k * c * r * r + n * k * p * p
    inputs = (Input((n, c, size, size)), Input((k, c, r, r)), Input((k,)))
    return Case(name, inputs, {"stride": stride, "padding": padding}, flops=2 * macs, bytes=4 * touched, reduction=c * r * r)


def elementwise(name: str, n: int, kind: str = "normal") -> Case:
    """n numbers in, n out."""
    return Case(name, (Input((n,), kind),), flops=n, bytes=8 * n)


CORE = (
    Row("matmul", matmul("256 cubed", 256, 256, 256), quick=True),
    Row("matmul", matmul("512 cubed", 512, 512, 512), quick=True),
    Row("matmul", matmul("1024 cubed", 1024, 1024, 1024), quick=True),
    Row("matmul", matmul("2048 cubed", 2048, 2048, 2048)),
    Row("matmul", matmul("20x650x2600", 20, 650, 2600), quick=True),
    Row("matmul", matmul("16x9216x4096", 16, 9216, 4096)),
    Row("conv2d", conv("LeNet c1", 64, 1, 28, 20, 5, 1, 0), quick=True),
    Row("conv2d", conv("LeNet c1", 64, 1, 28, 20, 5, 1, 0), train=True, quick=True),
    Row("conv2d", conv("LeNet c2", 64, 20, 12, 50, 5, 1, 0), quick=True),
    Row("conv2d", conv("LeNet c2", 64, 20, 12, 50, 5, 1, 0), train=True, quick=True),
    Row("conv2d", conv("AlexNet c3", 16, 192, 13, 384, 3, 1, 1), quick=True),
    Row("conv2d", conv("AlexNet c3", 16, 192, 13, 384, 3, 1, 1), train=True),
    Row("relu", elementwise("1M", 1 << 20), quick=True),
    Row("relu", elementwise("16M", 1 << 24), train=True),
)
