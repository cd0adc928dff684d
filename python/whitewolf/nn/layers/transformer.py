"""Transformer layers (Vaswani et al. 2017): attention and a feed-forward network, each with a residual path and a LayerNorm."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

from ...dtypes import find_dtype
from ...ops._common import MAX_LAYERS, check_count, check_flag, check_size, check_tensor
from ...ops.creation import asarray
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..containers import ModuleList
from ..module import Module
from .attention import MultiheadAttention
from .dropout import Dropout
from .linear import Linear
from .norm import LayerNorm

Activation = Callable[[Tensor], Tensor]


def _activation(op: str, given: str | Activation) -> Activation:
    """F.relu or F.gelu for their names; any other function as it is."""
    if callable(given):
        return given
    if given not in ("relu", "gelu"):
        raise ValueError(f"{op}: expected activation to be 'relu', 'gelu' or a function, got {given!r}")
    return F.relu if given == "relu" else F.gelu


class _Layer(Module):
    """What encoder and decoder layers share. Modules are registered in PyTorch's order, which is that of the parameters."""

    _decodes = False  # with attention to an encoder's outputs

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        made: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        self.activation = _activation(type(self).__name__, activation)
        self.norm_first = check_flag(type(self).__name__, "norm_first", norm_first)
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, batch_first=batch_first, **made)
        if self._decodes:
            self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, batch_first=batch_first, **made)
        self.linear1 = Linear(d_model, dim_feedforward, **made)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **made)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, **made)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, **made)
        if self._decodes:
            self.norm3 = LayerNorm(d_model, layer_norm_eps, **made)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        if self._decodes:
            self.dropout3 = Dropout(dropout)

    def _feed_forward(self, x: Tensor, last: Dropout) -> Tensor:
        out: Tensor = last(self.linear2(self.dropout(self.activation(self.linear1(x)))))
        return out

    def _residual(self, x: Tensor, norm: LayerNorm, block: Activation) -> Tensor:
        """x + block(norm(x)) with norm_first (Xiong et al. 2020), norm(x + block(x)) otherwise."""
        out: Tensor = x + block(norm(x)) if self.norm_first else norm(x + block(x))
        return out


class TransformerEncoderLayer(_Layer):
    """Self-attention, then a feed-forward network (Vaswani et al. 2017, section 3.1).

    Args:
        d_model: E, the size of inputs and outputs; a multiple of nhead.
        nhead: heads of the attention.
        dim_feedforward: the size between the two linear layers.
        dropout: the share to drop in training: of attention weights, between the linear layers, and before each residual sum.
        activation: between the linear layers: "relu", "gelu" or a function of a tensor.
        layer_norm_eps: eps of both LayerNorms.
        batch_first: [N, S, E] instead of [S, N, E].
        norm_first: LayerNorm before attention and network instead of after the sums (Xiong et al. 2020, arXiv 2002.04745).
        bias: whether linear layers and LayerNorms have biases.
        device, dtype: of the parameters; "cpu" and float32 unless given.

    Raises:
        ValueError: d_model is no multiple of nhead, or the activation is unknown.

    >>> import whitewolf as ww
    >>> ww.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)(ww.ones((3, 5, 8))).shape
    (3, 5, 8)
    """

    def forward(
        self, src: Tensor, src_mask: Tensor | None = None, src_key_padding_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor:
        """The outputs, shaped like src.

        Args:
            src: [S, N, E], [N, S, E] with batch_first, or [S, E].
            src_mask: [S, S] or [N nhead, S, S]; booleans that are True where a place may not be seen, or numbers to be added.
            src_key_padding_mask: [N, S]; the same, for places of the batch's sequences.
            is_causal: a hint that src_mask, which must be given, is the causal one.
        """

        def attend(x: Tensor) -> Tensor:
            out, _ = self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal)
            return self.dropout1(out)  # type: ignore[no-any-return]  # a module's call is Any

        x = self._residual(check_tensor("TransformerEncoderLayer", "src", src), self.norm1, attend)
        return self._residual(x, self.norm2, lambda x: self._feed_forward(x, self.dropout2))


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to the encoder's outputs, then a feed-forward network (Vaswani et al. 2017, section 3.1).

    Arguments and errors as `TransformerEncoderLayer`.

    >>> import whitewolf as ww
    >>> layer = ww.nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)
    >>> layer(ww.ones((3, 4, 8)), ww.ones((3, 5, 8))).shape
    (3, 4, 8)
    """

    _decodes = True

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The outputs, shaped like tgt.

        Args:
            tgt: [T, N, E], [N, T, E] with batch_first, or [T, E].
            memory: the encoder's outputs, the same with S.
            tgt_mask, memory_mask: [T, T] and [T, S], or with N nhead before; as TransformerEncoderLayer's src_mask.
            tgt_key_padding_mask, memory_key_padding_mask: [N, T] and [N, S].
            tgt_is_causal, memory_is_causal: hints that the masks, which must be given, are the causal ones.
        """

        def attend(x: Tensor) -> Tensor:
            out, _ = self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal)
            return self.dropout1(out)  # type: ignore[no-any-return]  # a module's call is Any

        def attend_to_memory(x: Tensor) -> Tensor:
            out, _ = self.multihead_attn(x, memory, memory, memory_key_padding_mask, False, memory_mask, is_causal=memory_is_causal)
            return self.dropout2(out)  # type: ignore[no-any-return]  # a module's call is Any

        check_tensor("TransformerDecoderLayer", "memory", memory)
        x = self._residual(check_tensor("TransformerDecoderLayer", "tgt", tgt), self.norm1, attend)
        x = self._residual(x, self.norm2, attend_to_memory)
        return self._residual(x, self.norm3, lambda x: self._feed_forward(x, self.dropout3))


def _copies(layer: Module, n: int, op: str) -> ModuleList:
    if not isinstance(layer, Module):
        raise TypeError(f"{op}: expected a Module to copy as layer, got {type(layer).__name__}")
    return ModuleList([deepcopy(layer) for _ in range(check_count(op, "num_layers", n, most=MAX_LAYERS))])


def _check_module(op: str, name: str, value: Any) -> None:
    if value is not None and not isinstance(value, Module):
        raise TypeError(f"{op}: expected {name} to be a Module or None, got {type(value).__name__}")


class TransformerEncoder(Module):
    """`num_layers` copies of an encoder layer, one after the other; all start with the same weights, as in PyTorch.

    Args:
        encoder_layer: the layer that is copied.
        num_layers: how often.
        norm: a module for the last outputs, such as a LayerNorm.
        enable_nested_tensor, mask_check: taken for the sake of code written for PyTorch; there are no nested tensors here.

    >>> import whitewolf as ww
    >>> layer = ww.nn.TransformerEncoderLayer(8, 2, 16)
    >>> ww.nn.TransformerEncoder(layer, 2)(ww.ones((5, 3, 8))).shape
    (5, 3, 8)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _copies(encoder_layer, num_layers, "TransformerEncoder")
        _check_module("TransformerEncoder", "norm", norm)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """The outputs, shaped like src; arguments as `TransformerEncoderLayer.forward`."""
        x = src
        for layer in self.layers:
            x = layer(x, mask, src_key_padding_mask, bool(is_causal))
        return x if self.norm is None else self.norm(x)  # type: ignore[no-any-return]  # a module's call is Any


class TransformerDecoder(Module):
    """`num_layers` copies of a decoder layer, one after the other; all start with the same weights, as in PyTorch.

    Args:
        decoder_layer: the layer that is copied.
        num_layers: how often.
        norm: a module for the last outputs, such as a LayerNorm.

    >>> import whitewolf as ww
    >>> layer = ww.nn.TransformerDecoderLayer(8, 2, 16)
    >>> ww.nn.TransformerDecoder(layer, 2)(ww.ones((4, 3, 8)), ww.ones((5, 3, 8))).shape
    (4, 3, 8)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _copies(decoder_layer, num_layers, "TransformerDecoder")
        _check_module("TransformerDecoder", "norm", norm)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The outputs, shaped like tgt; arguments as `TransformerDecoderLayer.forward`."""
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        x = tgt
        for layer in self.layers:
            x = layer(x, memory, *masks, bool(tgt_is_causal), memory_is_causal)
        return x if self.norm is None else self.norm(x)  # type: ignore[no-any-return]  # a module's call is Any


class Transformer(Module):
    """Encoder and decoder (Vaswani et al. 2017, figure 1), without embeddings, positions and the last linear layer.

    Args:
        d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias: as for
            `TransformerEncoderLayer`.
        num_encoder_layers, num_decoder_layers: how many of each.
        custom_encoder, custom_decoder: modules to take instead.
        device, dtype: of the parameters; "cpu" and float32 unless given.

    Raises:
        ValueError: d_model is no multiple of nhead, or the activation is unknown.

    >>> import whitewolf as ww
    >>> net = ww.nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
    >>> net(ww.ones((3, 5, 8)), ww.ones((3, 4, 8))).shape
    (3, 4, 8)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = F.relu,
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        for name, given in (("custom_encoder", custom_encoder), ("custom_decoder", custom_decoder)):
            _check_module("Transformer", name, given)
        made: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        words: tuple[Any, ...] = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first)
        if custom_encoder is None:
            layer: Module = TransformerEncoderLayer(*words, **made)
            custom_encoder = TransformerEncoder(layer, num_encoder_layers, LayerNorm(d_model, layer_norm_eps, **made))
        if custom_decoder is None:
            layer = TransformerDecoderLayer(*words, **made)
            custom_decoder = TransformerDecoder(layer, num_decoder_layers, LayerNorm(d_model, layer_norm_eps, **made))
        self.encoder, self.decoder = custom_encoder, custom_decoder
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        for parameter in self.parameters():  # each layer's own, unlike those of a bare encoder
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The decoder's outputs, shaped like tgt; arguments as the layers'.

        Raises:
            ValueError: src and tgt are not of one batch, or their last size is not d_model.
        """
        for name, tensor in (("src", src), ("tgt", tgt)):
            check_tensor("Transformer", name, tensor)
            if tensor.ndim not in (2, 3) or tensor.ndim != src.ndim or tensor.shape[-1] != self.d_model:
                raise ValueError(
                    f"Transformer: expected {name} of {'2 or 3' if name == 'src' else src.ndim} dimensions with {name}.shape[-1] == "
                    f"{self.d_model} (d_model), got {name}.shape == {tensor.shape}"
                )
        at = 0 if self.batch_first else 1
        if src.ndim == 3 and src.shape[at] != tgt.shape[at]:
            raise ValueError(
                f"Transformer: expected tgt.shape[{at}] == {src.shape[at]} (src's batch), got tgt.shape == {tgt.shape}"
            )
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        out: Tensor = self.decoder(tgt, memory, *masks, tgt_is_causal, memory_is_causal)
        return out

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """The causal mask [sz, sz]: -infinity where a later place would be seen, else 0.

        Raises:
            ValueError: sz < 0.

        >>> import whitewolf as ww
        >>> ww.nn.Transformer.generate_square_subsequent_mask(2)
        tensor([[  0., -inf],
                [  0.,   0.]])
        """
        n = check_count("generate_square_subsequent_mask", "sz", sz)
        check_size("generate_square_subsequent_mask", n * n, np.dtype("float64"), "sz")
        kind = find_dtype("generate_square_subsequent_mask", "float32" if dtype is None else dtype)
        return asarray(np.triu(np.full((n, n), -np.inf), 1).astype(kind), device=device)


__all__ = ["Transformer", "TransformerDecoder", "TransformerDecoderLayer", "TransformerEncoder", "TransformerEncoderLayer"]
