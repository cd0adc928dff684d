"""Attention with several heads."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dtypes import is_sixteen_bit
from ...ops import attention as ops
from ...ops._common import check_float, check_same_device, check_same_dtype, check_tensor
from ...ops.creation import empty, zeros
from ...ops.dropout import dropout
from ...ops.elementwise import add
from ...ops.joining import chunk, concat
from ...ops.logic import bitwise_invert, bitwise_or
from ...ops.manipulation import broadcast_to, expand_dims, pad_constant, permute_dims, reshape, squeeze
from ...ops.matmul import matmul
from ...ops.reduce import mean
from ...ops.select import where
from ...tensor import Tensor, wrap
from .. import functional as F
from .. import init
from ..module import Module
from ..parameter import Parameter
from .linear import Linear


class MultiheadAttention(Module):
    """concat(head_1, ..., head_h) W_O, head_i = attention(query W_i^Q, key W_i^K, value W_i^V) (Vaswani et al. 2017, section 3.2.2).

    Args:
        embed_dim: E, the size of queries and outputs; a multiple of num_heads.
        num_heads: heads of size embed_dim / num_heads.
        dropout: the share of weights to drop in training.
        bias: whether the projections have biases.
        add_bias_kv: whether a learned key and value follow the given ones.
        add_zero_attn: whether a key and a value of zeros follow those.
        kdim, vdim: the sizes of keys and values; embed_dim unless given.
        batch_first: [N, L, E] instead of [L, N, E].
        device, dtype: of the parameters; "cpu" and float32 unless given.

    Attributes:
        in_proj_weight: [3 E, E], for query, key and value; None, and q_proj_weight [E, E], k_proj_weight [E, kdim] and
            v_proj_weight [E, vdim] in its place, where kdim or vdim is another than E.
        in_proj_bias: [3 E]; or None.
        out_proj: Linear(E, E).
        bias_k, bias_v: [1, 1, E]; or None.

    Raises:
        ValueError: embed_dim is no multiple of num_heads, or a size is not positive.

    >>> import whitewolf as ww
    >>> x = ww.ones((2, 5, 8))
    >>> out, weights = ww.nn.MultiheadAttention(8, 2, batch_first=True)(x, x, x)
    >>> out.shape, weights.shape
    ((2, 5, 8), (2, 5, 5))
    """

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    out_proj: Linear
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0 or embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention: expected embed_dim to be a positive multiple of num_heads, got {embed_dim} and {num_heads}"
            )
        if not 0 <= dropout <= 1:
            raise ValueError(f"MultiheadAttention: expected dropout in [0, 1], got {dropout}")
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn

        def parameter(name: str, wanted: bool, *shape: int) -> None:
            self.register_parameter(name, Parameter(empty(shape, device=device, dtype=dtype)) if wanted else None)

        together = self.kdim == self.vdim == embed_dim
        parameter("q_proj_weight", not together, embed_dim, embed_dim)
        parameter("k_proj_weight", not together, embed_dim, self.kdim)
        parameter("v_proj_weight", not together, embed_dim, self.vdim)
        parameter("in_proj_weight", together, 3 * embed_dim, embed_dim)
        parameter("in_proj_bias", bias, 3 * embed_dim)
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype)
        parameter("bias_k", add_bias_kv, 1, 1, embed_dim)
        parameter("bias_v", add_bias_kv, 1, 1, embed_dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the parameters of the input anew (Glorot and Bengio 2010) and sets the biases to 0."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The outputs, shaped like query, and the weights: [N, L, S], or [N, heads, L, S] with average_attn_weights=False.

        Without need_weights the second is None, and attention runs in one pass. Queries that see no key have weights 0, also where
        PyTorch makes them NaN.

        Args:
            query: [L, N, E], [N, L, E] with batch_first, or [L, E].
            key: the same with S and kdim.
            value: the same with S and vdim.
            key_padding_mask: [N, S]; booleans that are True where a key is left out, or numbers that are added to the scores.
            attn_mask: [L, S] or [N heads, L, S]; the same.
            is_causal: a hint that attn_mask, which must be given, is the causal one.

        Raises:
            ValueError: the shapes do not fit, or is_causal comes without attn_mask.
            TypeError: the dtypes differ.
        """
        batched = self._check(query, key, value)
        if is_causal and attn_mask is None:
            raise ValueError("MultiheadAttention: expected attn_mask with is_causal, which is a hint about it, got None")
        same, q_and_k = key is query and value is key, key is query
        if not batched:
            query, key, value = (expand_dims(t, axis=0) for t in (query, key, value))
        elif not self.batch_first:
            query, key, value = (permute_dims(t, (1, 0, 2)) for t in (query, key, value))
        if same:
            key = value = query
        n, length = query.shape[:2]
        q, k, v = self._project(query, query if q_and_k else key, value)
        sources = k.shape[1]
        extra: list[tuple[Tensor, Tensor]] = []
        if self.bias_k is not None and self.bias_v is not None:
            extra.append((self.bias_k, self.bias_v))
        if self.add_zero_attn:
            nothing = zeros((1, 1, self.embed_dim), dtype=q.dtype, device=q.device)
            extra.append((nothing, nothing))
        for one_k, one_v in extra:
            k, v = (concat((t, broadcast_to(one, (n, 1, self.embed_dim))), axis=1) for t, one in ((k, one_k), (v, one_v)))
        causal = is_causal and key_padding_mask is None and not need_weights and not extra
        mask = None if causal else self._mask(n, length, sources, len(extra), q, key_padding_mask, attn_mask)
        q, k, v = (permute_dims(reshape(t, (n, t.shape[1], self.num_heads, self.head_dim)), (0, 2, 1, 3)) for t in (q, k, v))
        p = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            weights = ops.attention_weights(q, k, mask, scale=self.head_dim**-0.5)
            weights = dropout(weights, p) if p else weights
            heads = matmul(weights, v)
            weights = mean(weights, axis=1) if average_attn_weights else weights
        else:
            heads = F.scaled_dot_product_attention(q, k, v, mask, p, causal)
        out = self.out_proj(reshape(permute_dims(heads, (0, 2, 1, 3)), (n, length, self.embed_dim)))
        if not batched:
            return squeeze(out, 0), None if weights is None else squeeze(weights, 0)
        return out if self.batch_first else permute_dims(out, (1, 0, 2)), weights

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> bool:
        """Whether there is a batch."""
        op = "MultiheadAttention"
        for name, tensor, size in (("query", query, self.embed_dim), ("key", key, self.kdim), ("value", value, self.vdim)):
            if not is_sixteen_bit(check_tensor(op, name, tensor).dtype):
                check_float(op, name, tensor)
            if tensor.ndim not in (2, 3) or tensor.ndim != query.ndim or tensor.shape[-1] != size:
                raise ValueError(
                    f"{op}: expected {name} of {'2 or 3' if name == 'query' else query.ndim} dimensions with "
                    f"{name}.shape[-1] == {size}, got {name}.shape == {tensor.shape}"
                )
        check_same_device(op, query=query, key=key, value=value)
        check_same_dtype(op, query=query, key=key, value=value)
        at = 0 if self.batch_first else 1
        if key.shape[:-1] != value.shape[:-1] or (query.ndim == 3 and key.shape[at] != query.shape[at]):
            raise ValueError(
                f"{op}: expected key and value of one length, and query of their batch, got query.shape == {query.shape}, "
                f"key.shape == {key.shape}, value.shape == {value.shape}"
            )
        return query.ndim == 3

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        if self.in_proj_weight is not None and query is key and key is value:
            return chunk(F.linear(query, self.in_proj_weight, self.in_proj_bias), 3, axis=-1)
        weights: Any = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        if self.in_proj_weight is not None:
            weights = chunk(self.in_proj_weight, 3)
        biases: Any = (None,) * 3 if self.in_proj_bias is None else chunk(self.in_proj_bias, 3)
        return tuple(F.linear(t, w, b) for t, w, b in zip((query, key, value), weights, biases))

    def _mask(
        self, n: int, length: int, sources: int, extra: int, like: Tensor, padding: Tensor | None, mask: Tensor | None
    ) -> Tensor | None:
        """Both masks as the one of `attention`, [N or 1, heads or 1, L or 1, S and `extra` keys that all see]."""
        given = []
        if padding is not None:
            wanted: tuple[tuple[int, ...], ...] = ((n, sources), (sources,)) if n == 1 else ((n, sources),)
            self._check_mask("key_padding_mask", padding, wanted, like)
            given.append(reshape(padding, (n, 1, 1, sources)))
        if mask is not None:
            self._check_mask("attn_mask", mask, ((length, sources), (n * self.num_heads, length, sources)), like)
            lead = (1, 1) if mask.ndim == 2 else (n, self.num_heads)
            given.append(reshape(mask, (*lead, length, sources)))
        if not given:
            return None
        if all(m.dtype == bool for m in given):
            given = [pad_constant(m, ((0, 0),) * 3 + ((0, extra),), False) for m in given] if extra else given
            return bitwise_invert(given[0] if len(given) == 1 else bitwise_or(*given))
        low, zero = (wrap(np.asarray(x, like.dtype), like.device) for x in (-np.inf, 0))
        given = [where(m, low, zero) if m.dtype == bool else m for m in given]
        both = given[0] if len(given) == 1 else add(*given)
        return pad_constant(both, ((0, 0),) * 3 + ((0, extra),)) if extra else both

    @staticmethod
    def _check_mask(name: str, mask: Tensor, shapes: tuple[tuple[int, ...], ...], like: Tensor) -> None:
        check_tensor("MultiheadAttention", name, mask)
        if mask.shape not in shapes:
            raise ValueError(f"MultiheadAttention: expected {name}.shape == {' or '.join(map(str, shapes))}, got {mask.shape}")
        if mask.dtype not in (np.dtype(bool), like.dtype):
            raise TypeError(f"MultiheadAttention: expected {name}.dtype == bool or {like.dtype} (as query), got {mask.dtype}")


__all__ = ["MultiheadAttention"]
