"""Cases of embeddings and of bags of them."""

from __future__ import annotations

from typing import Any

import numpy as np

import whitewolf as ww

from ..nn import functional
from . import Array, BadCall, Case, Input, OpTable

Shape = tuple[int, ...]


def _embedding(index: Array, weight: Array) -> Array:
    return np.asarray(weight[index])


def _embedding_bag(
    index: Array, weight: Array, per_sample: Array | None = None, mode: str = "mean", offsets: Any = None, padding_idx: int = -1
) -> Array:
    flat = index.ravel()
    starts = list(range(0, index.size, index.shape[1])) if offsets is None else list(offsets)
    out = np.zeros((len(starts), weight.shape[1]))
    for bag, (start, stop) in enumerate(zip(starts, [*starts[1:], index.size])):
        kept = [j for j in range(start, stop) if flat[j] != padding_idx]
        rows = weight[flat[kept]] if per_sample is None else weight[flat[kept]] * per_sample.ravel()[kept][:, None]
        if kept:
            out[bag] = rows.sum(0) if mode == "sum" else rows.mean(0) if mode == "mean" else rows.max(0)
    return out


def _ours(index: Any, weight: Any, per_sample: Any = None, offsets: Any = None, **attrs: Any) -> Any:
    starts = None if offsets is None else ww.asarray(np.asarray(offsets))
    return functional.embedding_bag(index, weight, starts, per_sample_weights=per_sample, **attrs)


def _torch_embedding(index: Any, weight: Any, **attrs: Any) -> Any:
    import torch

    return torch.nn.functional.embedding(index, weight, **attrs)


def _torch_bag(index: Any, weight: Any, per_sample: Any = None, offsets: Any = None, **attrs: Any) -> Any:
    import torch

    starts = None if offsets is None else torch.tensor(offsets)
    return torch.nn.functional.embedding_bag(index, weight, starts, per_sample_weights=per_sample, **attrs)


def _case(name: str, index: Shape, rows: int, size: int, batch: int | None = 0, **attrs: Any) -> Case:
    more = {k: attrs.pop(k) for k in ("bench", "train", "heavy") if k in attrs}
    inputs = (Input(index, "index", high=rows, grad=False, batch=batch), Input((rows, size)))
    n = int(np.prod(index))
    return Case(name, inputs, attrs, reduction=max(n, 1), flops=n * size, bytes=8 * n * (size + 1), **more)


def _bag(name: str, index: Shape, rows: int, size: int, batch: int | None = None, weighted: bool = False, **attrs: Any) -> Case:
    kind = "distinct" if attrs.get("mode") == "max" else "normal"
    inputs = (Input(index, "index", high=rows, grad=False, batch=batch), Input((rows, size), kind))
    return Case(name, inputs + ((Input(index),) if weighted else ()), attrs, reduction=max(int(np.prod(index)), 1))


# padding_idx and scale_grad_by_freq give gradients that are no derivatives: tests/test_embedding.py holds them.
EMBEDDINGS = (
    _case("rows", (7,), 5, 11),
    _case("sentences", (3, 5), 4, 6),
    _case("often", (211,), 3, 70),
    _case("one index", (), 4, 3, batch=None),
    _case("size 1", (5,), 1, 1),
    _case("no indices", (0, 2), 3, 4),
    _case("no columns", (3,), 3, 0),
    _case("16384 of 10000 x 256", (16384,), 10000, 256, bench=True, train=True, heavy=True),
)
BAGS = (
    _bag("mean", (5, 4), 6, 3, batch=0),
    _bag("sum", (5, 4), 6, 3, batch=0, mode="sum"),
    _bag("max", (5, 4), 6, 3, batch=0, mode="max"),
    _bag("weighted", (5, 4), 6, 3, weighted=True, mode="sum"),
    _bag("offsets", (11,), 6, 3, offsets=(0, 3, 3, 7)),
    _bag("offsets, sum, padding", (11,), 4, 3, mode="sum", offsets=(0, 3, 3, 7), padding_idx=1),
    _bag("offsets, max, padding", (11,), 4, 3, mode="max", offsets=(0, 3, 3, 7), padding_idx=1),
    _bag("offsets, mean, padding", (11,), 4, 3, offsets=(0, 3, 3, 11), padding_idx=1),
    _bag("offsets, weighted, padding", (11,), 4, 3, weighted=True, mode="sum", offsets=(0, 2, 5), padding_idx=3),
    _bag("one bag", (9,), 4, 3, offsets=(0,)),
)

zeros = ww.zeros


def _index(values: Any, dtype: str = "int64") -> Any:
    return ww.asarray(np.asarray(values, dtype))


TABLES = (
    OpTable(
        op="embedding",
        function=functional.embedding,
        reference=_embedding,
        kernels=("embedding_forward", "scatter_add_forward"),
        cases=EMBEDDINGS,
        exact=True,
        bad=(
            BadCall(
                "past",
                lambda: functional.embedding(_index([[0], [3]]), zeros((3, 2))),
                IndexError,
                ("embedding", "[0, 3)", "3 at (1, 0)"),
            ),
            BadCall(
                "negative", lambda: functional.embedding(_index([-1]), zeros((3, 2))), IndexError, ("embedding", "[0, 3)", "-1")
            ),
            BadCall(
                "unsigned",
                lambda: functional.embedding(_index([2**63], "uint64"), zeros((3, 2))),
                IndexError,
                ("embedding", str(2**63)),
            ),
            BadCall(
                "dtype", lambda: functional.embedding(zeros(2), zeros((3, 2))), TypeError, ("embedding", "integers", "float32")
            ),
            BadCall("table", lambda: functional.embedding(_index([0]), zeros(3)), ValueError, ("embedding", "[V, D]", "(3,)")),
            BadCall(
                "padding",
                lambda: functional.embedding(_index([0]), zeros((3, 2)), 3),
                IndexError,
                ("padding_idx in [-3, 3)", "got 3"),
            ),
            BadCall(
                "sparse", lambda: functional.embedding(_index([0]), zeros((3, 2)), sparse=True), ValueError, ("embedding", "sparse")
            ),
        ),
        torch=_torch_embedding,
    ),
    OpTable(
        op="embedding_bag",
        function=_ours,
        reference=_embedding_bag,
        kernels=("embedding_forward", "scatter_add_forward"),
        cases=BAGS,
        bad=(
            BadCall(
                "past",
                lambda: functional.embedding_bag(_index([[3]]), zeros((3, 2))),
                IndexError,
                ("embedding_bag", "[0, 3)", "3 at (0, 0)"),
            ),
            BadCall(
                "mode", lambda: _ours(_index([[0]]), zeros((3, 2)), mode="min"), ValueError, ("'sum', 'mean' or 'max'", "'min'")
            ),
            BadCall(
                "offsets",
                lambda: _ours(_index([0, 1]), zeros((3, 2)), offsets=[0, 2, 1]),
                ValueError,
                ("not descending", "[0, 2, 1]"),
            ),
            BadCall("no offsets", lambda: _ours(_index([0, 1]), zeros((3, 2))), ValueError, ("[m] with offsets", "(2,)")),
            BadCall("weights", lambda: _ours(_index([[0]]), zeros((3, 2)), zeros((1, 1))), ValueError, ("mode == 'sum'", "'mean'")),
        ),
        torch=_torch_bag,
    ),
)
