"""Cases of attention: no mask and masks, one-pass and by its rungs."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

import whitewolf as ww

from ..nn import functional
from . import Array, BadCall, Case, Input, OpTable


def _reference(
    query: Array, key: Array, value: Array, mask: Array | None = None, is_causal: bool = False, scale: float | None = None
) -> Array:
    scores = query @ np.swapaxes(key, -1, -2) * (1 / np.sqrt(query.shape[-1]) if scale is None else scale)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    if is_causal:
        scores = np.where(np.tri(*scores.shape[-2:]) == 1, scores, -np.inf)
    top = scores.max(-1, keepdims=True, initial=-np.inf)
    p = np.exp(scores - np.where(top == -np.inf, 0, top))
    total = p.sum(-1, keepdims=True)
    return np.asarray((p / np.where(total == 0, 1, total)) @ value)


def _torch(*arrays: Any, is_causal: bool = False, **attrs: Any) -> Any:
    import torch

    if len(arrays) > 3 and is_causal:  # what PyTorch makes of both depends on its own kernels
        seen = torch.ones(arrays[0].shape[-2], arrays[1].shape[-2], dtype=torch.bool).tril()
        mask = arrays[3]
        both = mask & seen if mask.dtype == torch.bool else mask.masked_fill(~seen, -torch.inf)
        arrays, is_causal = (*arrays[:3], both), False
    return cast(Any, torch.nn.functional.scaled_dot_product_attention)(*arrays, is_causal=is_causal, **attrs)


def _case(
    name: str,
    query: tuple[int, ...],
    s: int,
    f: int,
    *,
    lead: tuple[int, ...] | None = None,
    mask: tuple[Input, ...] = (),
    batch: int | None = 0,
    causal: bool = False,
    **more: Any,
) -> Case:
    """One call; `lead` are the leading dimensions of key and value where they are not query's."""
    front = query[:-2] if lead is None else lead
    if lead is not None or len(query) == 2:
        batch = None
    inputs = (Input(query, batch=batch), Input((*front, s, query[-1]), batch=batch), Input((*front, s, f), batch=batch), *mask)
    pairs = int(np.prod(query[:-1])) * s
    attrs = more.pop("attrs", {}) | ({"is_causal": True} if causal else {})
    return Case(
        name,
        inputs,
        attrs,
        flops=2 * pairs * (query[-1] + f) // (2 if causal else 1),
        bytes=4 * sum(int(np.prod(i.shape)) for i in inputs[:3]) + 4 * int(np.prod(query[:-1])) * f,
        reduction=max(s, query[-1], 1),
        **more,
    )


PLAIN = (
    _case("prime", (3, 7, 5), 11, 13),
    _case("heads", (2, 3, 5, 4), 6, 4),
    _case("one row", (2, 1, 17), 5, 3),
    _case("matrices", (9, 4), 7, 6),
    _case("one key", (2, 3, 4), 1, 5),
    _case("size 1", (1, 1, 1), 1, 1),
    _case("several blocks", (2, 83, 19), 307, 53),
    _case("scale", (2, 5, 6), 7, 3, attrs={"scale": 0.3}),
    _case("shared keys", (2, 3, 5, 4), 6, 7, lead=(2, 1)),
    _case("no queries", (2, 0, 4), 5, 3),
    _case("no keys", (2, 3, 4), 0, 5),
    _case("no batch", (0, 3, 4), 2, 5),
    _case("8 x 512 x 64", (8, 8, 512, 64), 512, 64, bench=True, train=True, heavy=True),
)

MASKED = (
    _case("causal", (3, 7, 5), 7, 4, causal=True),
    _case("causal, more keys", (2, 5, 4), 9, 3, causal=True),
    _case("causal, more queries", (2, 9, 4), 5, 3, causal=True),
    _case("causal, several blocks", (2, 303, 7), 311, 9, causal=True),
    _case("boolean", (3, 7, 5), 11, 4, mask=(Input((3, 7, 11), "bool", grad=False, batch=0),)),
    _case("boolean, shared", (3, 7, 5), 2, 4, mask=(Input((7, 2), "bool", grad=False),)),  # some rows see nothing
    _case("boolean, of keys", (2, 3, 7, 5), 150, 4, mask=(Input((2, 1, 1, 150), "bool", grad=False, batch=0),)),
    _case("added", (3, 7, 5), 11, 4, mask=(Input((3, 7, 11), batch=0),)),
    _case("added, shared", (3, 7, 5), 11, 4, mask=(Input((7, 1)),)),
    _case("added, no gradient", (2, 75, 5), 160, 4, mask=(Input((75, 160), grad=False),)),
    _case("boolean and causal", (3, 7, 5), 9, 4, causal=True, mask=(Input((7, 9), "bool", grad=False),)),
)


def _bad(
    name: str, shapes: tuple[tuple[int, ...], ...], error: type[Exception], words: tuple[str, ...], mask: Any = None, **attrs: Any
) -> BadCall:
    def call() -> Any:
        return cast(Any, functional.scaled_dot_product_attention)(*(ww.zeros(s) for s in shapes), attn_mask=mask, **attrs)

    return BadCall(name, call, error, ("scaled_dot_product_attention", *words))


FITS = ((2, 3, 4), (2, 5, 4), (2, 5, 6))
BAD = (
    _bad("inner", ((3, 4), (5, 3), (5, 6)), ValueError, ("key.shape[-1] == 4", "(5, 3)")),
    _bad("keys", ((3, 4), (5, 4), (6, 6)), ValueError, ("value.shape[-2] == 5", "(6, 6)")),
    _bad("dimensions", ((4,), (5, 4), (5, 6)), ValueError, ("query", "at least 2 dimensions", "(4,)")),
    _bad("lead", ((2, 3, 4), (3, 5, 4), (3, 5, 6)), ValueError, ("leading dimensions", "(2,)", "(3,)")),
    _bad("mask", FITS, ValueError, ("(3, 5)", "(4, 5)"), mask=ww.ones((4, 5), dtype="bool")),
    _bad("mask dtype", FITS, TypeError, ("mask.dtype", "bool or float32", "int64"), mask=ww.ones((3, 5), dtype="int64")),
    _bad("dropout", FITS, ValueError, ("dropout_p in [0, 1]", "2"), dropout_p=2.0),
    _bad("groups", ((3, 2, 4), (2, 5, 4), (2, 5, 6)), ValueError, ("multiple", "3, 2 and 2"), enable_gqa=True),
)

KERNELS = ("attention_forward", "attention_backward_query", "attention_backward_key_value")
TABLES = (
    OpTable(
        op="attention",
        function=functional.scaled_dot_product_attention,
        reference=_reference,
        kernels=KERNELS,
        cases=PLAIN,
        bad=BAD,
        torch=_torch,
    ),
    OpTable(
        op="attention_masked",
        function=functional.scaled_dot_product_attention,
        reference=_reference,
        kernels=KERNELS,
        cases=MASKED,
        nonfinite="a value that is not finite under a mask comes out or not, as causal leaves whole blocks of keys unread",
        torch=_torch,
        # The kernels are also called with queries other than those whose logsumexp they are given: weights above 1 that cancel.
        ulps=16,
    ),
)
