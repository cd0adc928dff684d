"""Attention under PyTorch's arguments."""

from __future__ import annotations

from ...ops import attention as ops
from ...ops.dropout import dropout
from ...ops.manipulation import expand_dims, reshape
from ...ops.matmul import matmul
from ...tensor import Tensor


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(scale query key^T + mask) value (Vaswani et al. 2017), a block of keys at a time (Dao et al. 2022).

    A row that is masked as a whole is 0 and has gradient 0, as in PyTorch.

    Args:
        query: float32 or float64 [..., L, E]; leading dimensions broadcast.
        key: [..., S, E].
        value: [..., S, F].
        attn_mask: broadcasts to [..., L, S]; booleans that are True where a query may see a key, or numbers that are added.
        dropout_p: the share of weights to drop; above 0 the weights are held in memory.
        is_causal: query i sees only the keys up to i (beside attn_mask, where both are given).
        scale: 1 / sqrt(E) unless given.
        enable_gqa: query has a multiple of the heads (dimension -3) of key and value, and consecutive heads share one.

    Returns:
        [..., L, F].

    Raises:
        ValueError: the shapes do not fit, or dropout_p is outside [0, 1].
        TypeError: the dtypes differ.

    >>> import whitewolf as ww
    >>> x = ww.ones((2, 3))
    >>> ww.nn.functional.scaled_dot_product_attention(x, x, x).shape
    (2, 3)
    """
    op = "scaled_dot_product_attention"
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"{op}: expected dropout_p in [0, 1], got {dropout_p}")
    if enable_gqa:
        query, key, value, attn_mask = _grouped(op, query, key, value, attn_mask)
    factor = ops.check(op, query, key, value, attn_mask, scale)
    if dropout_p:
        weights = ops.attention_weights(query, key, attn_mask, causal=is_causal, scale=factor)
        out = matmul(dropout(weights, dropout_p), value)
    else:
        out = ops.attention(query, key, value, attn_mask, causal=is_causal, scale=factor)
    return reshape(out, (*out.shape[:-4], out.shape[-4] * out.shape[-3], *out.shape[-2:])) if enable_gqa else out


def _grouped(
    op: str, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Heads as [groups, heads that share a key], with key and value once a group."""
    if min(t.ndim for t in (query, key, value)) < 3:
        raise ValueError(f"{op}: expected query, key and value of at least 3 dimensions with enable_gqa, got {query.shape}")
    heads, groups = query.shape[-3], key.shape[-3]
    if value.shape[-3] != groups or not groups or heads % groups:
        raise ValueError(
            f"{op}: expected query.shape[-3] to be a multiple of key.shape[-3] == value.shape[-3] with enable_gqa, "
            f"got {heads}, {groups} and {value.shape[-3]}"
        )

    def split(t: Tensor) -> Tensor:
        return reshape(t, (*t.shape[:-3], groups, heads // groups, *t.shape[-2:]))

    if mask is not None and mask.ndim >= 3:
        mask = split(mask) if mask.shape[-3] == heads else expand_dims(mask, axis=-3)
    return split(query), expand_dims(key, axis=-3), expand_dims(value, axis=-3), mask
