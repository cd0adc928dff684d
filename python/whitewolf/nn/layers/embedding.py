"""Tables of vectors that an index looks up; see `F.embedding` and `F.embedding_bag`."""

from __future__ import annotations

from typing import Any

from ...ops._common import check_tensor
from ...ops.creation import empty
from ...ops.embedding import check_padding
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..module import Module
from ..parameter import Parameter


class _Table(Module):
    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        max_norm: float | None,
        norm_type: float,
        scale_grad_by_freq: bool,
        sparse: bool,
        weight: Tensor | None,
        freeze: bool,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if sparse:
            raise ValueError(f"{name}: expected sparse == False, got True: gradients are dense arrays here")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else check_padding(name, padding_idx, num_embeddings)
        self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse = max_norm, norm_type, scale_grad_by_freq, sparse
        if weight is None:
            self.weight = Parameter(empty((num_embeddings, embedding_dim), device=device, dtype=dtype))
            self.reset_parameters()
            return
        if weight.shape != (num_embeddings, embedding_dim):
            raise ValueError(f"{name}: expected a weight of shape {(num_embeddings, embedding_dim)}, got {weight.shape}")
        self.weight = Parameter(weight.detach(), requires_grad=not freeze)

    def reset_parameters(self) -> None:
        """Draws the rows from the standard normal distribution; the padding row is zero."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight._data[self.padding_idx] = 0
            self.weight._overwritten()


def _rows(name: str, embeddings: Tensor) -> tuple[int, int]:
    check_tensor(name, "embeddings", embeddings)
    if embeddings.ndim != 2:
        raise ValueError(f"{name}: expected embeddings [V, D], got embeddings.shape == {embeddings.shape}")
    return embeddings.shape[0], embeddings.shape[1]


class Embedding(_Table):
    """A table of num_embeddings vectors: rows for indices [...], as [..., embedding_dim].

    Args:
        num_embeddings, embedding_dim: V and D.
        padding_idx: a row that starts as zero and has no gradient.
        max_norm, norm_type, scale_grad_by_freq: as of `F.embedding`.
        sparse: True is an error: gradients are dense.
        device, dtype: of the table; "cpu" and float32 unless given.

    Attributes:
        weight: [V, D], from the standard normal distribution.

    Raises:
        IndexError: padding_idx, or an index, is outside of the table.

    >>> import whitewolf as ww
    >>> ww.nn.Embedding(10, 3)(ww.asarray([[1, 2]])).shape
    (1, 2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            num_embeddings,
            embedding_dim,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            _weight,
            _freeze,
            device,
            dtype,
        )

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A table of these rows [V, D], whose memory it shares; it learns unless `freeze`."""
        return cls(
            *_rows(cls.__name__, embeddings), _weight=embeddings, _freeze=freeze,
            padding_idx=padding_idx, max_norm=max_norm, norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq, sparse=sparse,
        )  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        )

    def extra_repr(self) -> str:
        words = [f"{self.num_embeddings}, {self.embedding_dim}"]
        for name, usual in (("padding_idx", None), ("max_norm", None), ("norm_type", 2), ("scale_grad_by_freq", False)):
            if getattr(self, name) != usual:
                words.append(f"{name}={getattr(self, name)}")
        return ", ".join(words)


class EmbeddingBag(_Table):
    """The sum, mean or largest elements of the rows of each bag of indices; see `F.embedding_bag`.

    Args:
        num_embeddings, embedding_dim: V and D.
        max_norm, norm_type, scale_grad_by_freq, mode, include_last_offset, padding_idx: as of `F.embedding_bag`.
        sparse: True is an error: gradients are dense.
        device, dtype: of the table; "cpu" and float32 unless given.

    Raises:
        IndexError: padding_idx, or an index, is outside of the table.

    >>> import whitewolf as ww
    >>> ww.nn.EmbeddingBag(10, 3, mode="sum")(ww.asarray([1, 2, 4]), ww.asarray([0, 2])).shape
    (2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
        *,
        _freeze: bool = False,
    ) -> None:
        super().__init__(
            num_embeddings,
            embedding_dim,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            _weight,
            _freeze,
            device,
            dtype,
        )
        self.mode, self.include_last_offset = mode, include_last_offset

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """A table of these rows [V, D], whose memory it shares; it learns unless `freeze`."""
        return cls(
            *_rows(cls.__name__, embeddings), _weight=embeddings, _freeze=freeze,
            max_norm=max_norm, norm_type=norm_type, scale_grad_by_freq=scale_grad_by_freq,
            mode=mode, sparse=sparse, include_last_offset=include_last_offset, padding_idx=padding_idx,
        )  # fmt: skip

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        return F.embedding_bag(
            input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode, self.sparse,
            per_sample_weights, self.include_last_offset, self.padding_idx,
        )  # fmt: skip

    def extra_repr(self) -> str:
        words = [f"{self.num_embeddings}, {self.embedding_dim}"]
        for name, usual in (("max_norm", None), ("norm_type", 2), ("scale_grad_by_freq", False)):
            if getattr(self, name) != usual:
                words.append(f"{name}={getattr(self, name)}")
        words.append(f"mode={self.mode!r}")
        if self.padding_idx is not None:
            words.append(f"padding_idx={self.padding_idx}")
        return ", ".join(words)
