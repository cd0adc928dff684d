"""Sums of products over dimensions that letters name. Each is made of views, matrix products and sums, and so are its gradients."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from string import ascii_letters
from typing import TypeAlias

from ..dtypes import promote
from ..graph import is_grad_enabled
from ..tensor import Tensor
from ._common import check_same_device, check_tensor
from .elementwise import multiply
from .manipulation import astype, permute_dims, reshape
from .matmul import matmul
from .reduce import sum

Label: TypeAlias = "str | int"  # a letter; of the dimensions that "..." stands for, their place from the end: -1, -2, ...
Term: TypeAlias = "tuple[Tensor, list[Label]]"


def einsum(equation: str, /, *operands: Tensor | Sequence[Tensor]) -> Tensor:
    """The sum of products that an equation names: a letter for each dimension, and a sum over each that the output lacks (Einstein 1916).

    "bij,bjk->bik" is out[b, i, k] = sum over j of x1[b, i, j] x2[b, j, k]. A letter that an operand has twice is its diagonal. "..." stands for
    dimensions without letters, which broadcast. Without "->" the output has "...", then the letters that occur once, in alphabetical order,
    capitals first. More than two operands are multiplied from left to right, and a dimension is summed over as soon as nothing needs it.

    Args:
        equation: as above; spaces do not count.
        operands: tensors, or one list of them, of dtypes that combine; sizes of one letter are equal, or 1, which is stretched.

    Returns:
        The sum, of the dtype to which they promote; a view where nothing is computed.

    Raises:
        ValueError: the equation is none, or does not fit the operands.

    >>> import whitewolf as ww
    >>> x = ww.asarray([[1.0, 2.0], [3.0, 4.0]])
    >>> ww.einsum("ij,j->i", x, ww.ones(2)), ww.einsum("ii", x)
    (tensor([3., 7.]), tensor(5.))
    """
    given = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    tensors = _tensors(given)
    inputs, output = _parse(equation, tensors)
    sizes = _sizes(inputs, tensors)
    terms = [_distinct(x, labels, sizes) for x, labels in zip(tensors, inputs)]
    total = terms[0]
    for position, term in enumerate(terms[1:], 2):
        total = _product(total, term, {*output, *(label for _, labels in terms[position:] for label in labels)}, sizes)
    x, labels = _summed(total, output)
    return permute_dims(x, [labels.index(label) for label in output])


def _tensors(given: Sequence[object]) -> list[Tensor]:
    """The operands, of one device and dtype."""
    if not given:
        raise ValueError("einsum: expected operands, got none")
    tensors = [check_tensor("einsum", f"operands[{i}]", x) for i, x in enumerate(given)]
    dtype = tensors[0].dtype
    for i, x in enumerate(tensors):
        check_same_device("einsum", **{"operands[0]": tensors[0], f"operands[{i}]": x})
        if x.dtype.kind == "b":
            raise TypeError(f"einsum: expected operands[{i}] of numbers, got dtype bool")
        try:
            dtype = promote(dtype, x.dtype)
        except TypeError as error:
            raise TypeError(f"einsum: expected operands of dtypes that combine, got {dtype} and {x.dtype}: {error}") from None
    for i, x in enumerate(tensors):
        if dtype.kind == "c" and x._requires_grad and is_grad_enabled():
            raise TypeError(f"einsum: expected operands[{i}] that requires no grad beside complex numbers, in which nothing is "
                            "differentiated; detach() gives one")  # fmt: skip
    return [astype(x, dtype, copy=False) for x in tensors]


def _parse(equation: str, tensors: list[Tensor]) -> tuple[list[list[Label]], list[Label]]:
    """The labels of each operand's dimensions, and of the output's."""
    if not isinstance(equation, str):
        raise TypeError(f"einsum: expected equation to be a string, got {type(equation).__name__}")
    left, arrow, right = equation.replace(" ", "").partition("->")
    parts = left.split(",")
    if len(parts) != len(tensors):
        raise ValueError(f"einsum: expected equation with subscripts for {len(tensors)} operands, got {equation!r}")
    inputs: list[list[Label]] = []
    for i, (part, x) in enumerate(zip(parts, tensors)):
        dotted = "..." in part
        letters = _letters(equation, part)
        if len(letters) > x.ndim or len(letters) < x.ndim and not dotted:
            raise ValueError(f"einsum: expected operands[{i}] of {len(letters)}{' or more' * dotted} dimensions for {part!r}, "
                             f"got shape {x.shape}")  # fmt: skip
        inputs.append(_with_dots(part, letters, x.ndim - len(letters)))
    dots = max(len([label for label in labels if isinstance(label, int)]) for labels in inputs)
    found = [label for labels in inputs for label in labels]
    if not arrow:
        once = sorted(label for label in set(found) if isinstance(label, str) and found.count(label) == 1)
        return inputs, [*range(-dots, 0), *once]
    letters = _letters(equation, right)
    for letter in letters:
        if letters.count(letter) > 1 or letter not in found:
            what = "once in the output" if letters.count(letter) > 1 else "in an operand"
            raise ValueError(f"einsum: expected equation with {letter!r} {what}, got {equation!r}")
    return inputs, _with_dots(right, letters, dots if "..." in right else 0)


def _letters(equation: str, part: str) -> list[str]:
    letters = list(part.replace("...", "", 1))
    for letter in letters:
        if letter not in ascii_letters:
            raise ValueError(f"einsum: expected equation of letters, one '...' an operand, commas and one '->', got {equation!r}")
    return letters


def _with_dots(part: str, letters: list[str], dots: int) -> list[Label]:
    before = len(part.partition("...")[0])
    return [*letters[:before], *range(-dots, 0), *letters[before:]]


def _sizes(inputs: list[list[Label]], tensors: list[Tensor]) -> dict[Label, int]:
    """The size of each label: the one that is not 1, if there is one."""
    sizes: dict[Label, int] = {}
    for i, (labels, x) in enumerate(zip(inputs, tensors)):
        for label, n in zip(labels, x.shape):
            known = sizes.setdefault(label, n)
            if n != known and 1 not in (n, known) or labels.count(label) > 1 and n != x.shape[labels.index(label)]:
                which = f"for {label!r}" if isinstance(label, str) else "that broadcast for '...'"
                raise ValueError(f"einsum: expected operands of equal sizes {which}, got {known} and {n} (operands[{i}])")
            sizes[label] = n if known == 1 else known
    return sizes


def _distinct(x: Tensor, labels: list[Label], sizes: dict[Label, int]) -> Term:
    """The diagonal of what has a label twice, and no dimension of size 1 that is to be stretched."""
    labels = list(labels)
    while len(set(labels)) < len(labels):
        label = next(label for label in labels if labels.count(label) > 1)
        first, second = [i for i, other in enumerate(labels) if other == label][:2]
        rest = [i for i in range(x.ndim) if i not in (first, second)]
        n = x.shape[first]
        x = reshape(permute_dims(x, [*rest, first, second]), (*(x.shape[i] for i in rest), n * n))[..., :: n + 1]
        labels = [*(labels[i] for i in rest), label]
    kept = [i for i, label in enumerate(labels) if x.shape[i] == sizes[label]]
    return reshape(x, tuple(x.shape[i] for i in kept)) if len(kept) < x.ndim else x, [labels[i] for i in kept]


def _summed(term: Term, needed: Collection[Label]) -> Term:
    """The sum over the dimensions that nothing needs."""
    x, labels = term
    axes = tuple(i for i, label in enumerate(labels) if label not in needed)
    return (sum(x, axis=axes, dtype=x.dtype) if axes else x), [label for label in labels if label in needed]


def _product(left: Term, right: Term, needed: set[Label], sizes: dict[Label, int]) -> Term:
    """The product of two terms, summed over what nothing needs: over what they share, it is a matrix product."""
    a, of_a = _summed(left, needed | set(right[1]))
    b, of_b = _summed(right, needed | set(left[1]))
    both = [label for label in of_a if label in of_b and label in needed]
    inner = [label for label in of_a if label in of_b and label not in needed]
    rows, columns = [label for label in of_a if label not in of_b], [label for label in of_b if label not in of_a]
    batch, m, k, n = ([math.prod(sizes[label] for label in labels)] for labels in (both, rows, inner, columns))
    batch = batch if both else []
    a = reshape(permute_dims(a, [of_a.index(label) for label in (*both, *rows, *inner)]), (*batch, *m, *k))
    b = reshape(permute_dims(b, [of_b.index(label) for label in (*both, *inner, *columns)]), (*batch, *k, *n))
    out = matmul(a, b) if inner else multiply(a, b)
    labels = [*both, *rows, *columns]
    return reshape(out, tuple(sizes[label] for label in labels)), labels


__all__ = ["einsum"]
