"""For every public function that is differentiable: a call, and float64 operands away from its kinks. What has no gradient is listed
with its reason.

CASES  name: (the call, its operands); more than one of a function are "name, which"
NONE   reason: names
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import whitewolf as ww
from whitewolf.nn import functional as F

Case = tuple[Callable[..., Any], list[Any]]

rng = np.random.default_rng(11)


def apart(*shape: int) -> Any:
    """No two elements closer than 0.03, none near 0 or 1, of either sign: no ties, no kinks."""
    n = math.prod(shape)
    return ((rng.permutation(n) - n // 2 + 0.5) * (1.7 / max(n / 2, 1)) + 0.013).reshape(shape)


def positive(*shape: int) -> Any:
    return np.abs(apart(*shape)) * 0.6 + 0.3


def within(*shape: int) -> Any:
    """In (-0.8, 0.8)."""
    return apart(*shape) * 0.45


def fixed(values: Any, dtype: str = "float64") -> Any:
    return ww.asarray(np.asarray(values, dtype))


def seeded(function: Callable[..., Any], *more: Any) -> Callable[..., Any]:
    """The same random numbers in each call."""

    def run(x: Any) -> Any:
        ww.manual_seed(3)
        return function(x, *more)

    return run


def of(function: Any, *more: Any, **named: Any) -> Callable[..., Any]:
    return lambda *xs: function(*xs, *more, **named)


CLASSES = fixed([2, 0], "int64")
BITS = fixed([[1, 0, 1], [0, 1, 1]])
SIGNS = fixed([1, -1])
INDEX = fixed([[0, 0], [2, 1]], "int64")


ARRAYS: dict[str, Case] = {
    **{n: (getattr(ww, n), [apart(2, 3)]) for n in (
        "abs", "asinh", "atan", "cos", "cosh", "erf", "exp", "exp2", "expm1", "negative", "positive", "sin", "sinh", "square", "tanh", "flatten",
        "matrix_transpose", "std", "sum_squares", "var", "sum", "mean", "logsumexp", "max", "min", "sort", "conj", "real", "squeeze")},
    **{n: (getattr(ww, n), [positive(2, 3)]) for n in ("log", "log10", "log1p", "log2", "reciprocal", "rsqrt", "sqrt", "prod")},
    **{n: (getattr(ww, n), [within(2, 3)]) for n in ("acos", "asin", "atanh", "tan")},
    "acosh": (ww.acosh, [positive(2, 3) + 1]),
    **{n: (getattr(ww, n), [apart(2, 3), apart(3) * 1.01]) for n in ("add", "subtract", "multiply", "maximum", "minimum", "logaddexp", "hypot")},
    **{n: (getattr(ww, n), [apart(2, 3), positive(2, 1)]) for n in ("divide", "atan2", "copysign")},
    "pow": (ww.pow, [positive(2, 3), apart(3)]),
    "remainder": (ww.remainder, [apart(2, 3), positive(3) + 2]),
    "clip": (lambda x, low: ww.clip(x, low, 0.5), [apart(2, 3), apart(3) * 0.1 - 0.5]),
    "where": (lambda x, y: ww.where(fixed([True, False, True], "bool"), x, y), [apart(2, 3), apart(3)]),
    "matmul": (ww.matmul, [apart(2, 2, 3), apart(3, 2)]),
    "tensordot": (of(ww.tensordot, axes=((0, 1), (1, 0))), [apart(2, 3, 2), apart(3, 2, 2)]),
    "einsum": (of(lambda a, b, c: ww.einsum("...ij,jk,kk->i...", a, b, c)), [apart(2, 2, 3), apart(3, 2), apart(2, 2)]),
    "vecdot": (ww.vecdot, [apart(2, 3), apart(3)]),
    "cumulative_sum": (of(ww.cumulative_sum, axis=1), [apart(2, 3)]),
    "cumulative_prod": (of(ww.cumulative_prod, axis=1), [positive(2, 3)]),
    "diff": (of(ww.diff, axis=1, n=2), [apart(2, 4)]),
    "astype": (of(ww.astype, "float64"), [apart(2, 3)]),
    "asarray": (of(ww.asarray, copy=True), [apart(2, 3)]),
    "broadcast_arrays": (ww.broadcast_arrays, [apart(2, 1), apart(3)]),
    "broadcast_to": (of(ww.broadcast_to, (4, 2, 3)), [apart(2, 1)]),
    "chunk": (of(ww.chunk, 2, 1), [apart(2, 3)]),
    "concat": (lambda a, b: ww.concat([a, b], axis=1), [apart(2, 3), apart(2, 1)]),
    "expand_dims": (of(ww.expand_dims, axis=1), [apart(2, 3)]),
    "flip": (of(ww.flip, axis=0), [apart(2, 3)]),
    "gather": (of(ww.gather, 1, INDEX), [apart(2, 3)]),
    "index_add": (lambda x, s: ww.index_add(x, 0, CLASSES, s), [apart(3, 2), apart(2, 2)]),
    "index_select": (of(ww.index_select, 1, CLASSES), [apart(2, 3)]),
    "masked_fill": (of(ww.masked_fill, fixed([True, False, True], "bool"), 2.0), [apart(2, 3)]),
    "meshgrid": (ww.meshgrid, [apart(2), apart(3)]),
    "moveaxis": (of(ww.moveaxis, 0, 1), [apart(2, 3)]),
    "permute_dims": (of(ww.permute_dims, (1, 0)), [apart(2, 3)]),
    "repeat": (of(ww.repeat, 2, axis=1), [apart(2, 3)]),
    "reshape": (of(ww.reshape, (3, 2)), [apart(2, 3)]),
    "roll": (of(ww.roll, 1, axis=1), [apart(2, 3)]),
    "scatter": (lambda x, s: ww.scatter(x, 1, fixed([[0, 1], [2, 1]], "int64"), s), [apart(2, 3), apart(2, 2)]),
    "scatter_add": (lambda x, s: ww.scatter_add(x, 1, INDEX, s), [apart(2, 3), apart(2, 2)]),
    "split": (of(ww.split, [1, 2], 1), [apart(2, 3)]),
    "stack": (lambda a, b: ww.stack([a, b], axis=1), [apart(2, 3), apart(2, 3)]),
    "take": (of(ww.take, CLASSES, axis=1), [apart(2, 3)]),
    "take_along_axis": (of(ww.take_along_axis, INDEX, axis=1), [apart(2, 3)]),
    "tile": (of(ww.tile, (2, 2)), [apart(2, 3)]),
    "topk": (of(ww.topk, 2), [apart(2, 4)]),
    "transpose": (of(ww.transpose, 0, 1), [apart(2, 3)]),
    "tril": (ww.tril, [apart(3, 3)]),
    "triu": (ww.triu, [apart(3, 3)]),
    "unsqueeze": (of(ww.unsqueeze, 1), [apart(2, 3)]),
    "unstack": (ww.unstack, [apart(2, 3)]),
}  # fmt: skip

ACTIVATIONS: dict[str, Case] = {
    **{n: (getattr(F, n), [apart(2, 4)]) for n in (
        "relu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign", "logsigmoid", "tanhshrink", "sigmoid", "leaky_relu",
        "hardtanh", "hardswish", "hardsigmoid", "softshrink", "hardshrink", "relu6", "glu", "rrelu", "normalize")},
    "gelu, tanh": (of(F.gelu, approximate="tanh"), [apart(2, 4)]),
    "threshold": (of(F.threshold, 0.1, 20.0), [apart(2, 4)]),
    "prelu": (F.prelu, [apart(2, 3, 2), apart(3)]),
    "softmax": (of(F.softmax, 1), [apart(2, 4)]),
    "softmax, of a number": (lambda x: F.softmax(x, 0) + x, [apart(1)[0]]),
    "gumbel_softmax": (seeded(F.gumbel_softmax, 0.7), [apart(3, 4)]),
    "softmin": (of(F.softmin, 1), [apart(2, 4)]),
    "log_softmax": (of(F.log_softmax, 0), [apart(2, 4)]),
    "normalize, another p": (of(F.normalize, 3.0), [apart(2, 3)]),
    **{n: (seeded(getattr(F, n), 0.4), [apart(3, 4)]) for n in ("dropout", "alpha_dropout", "feature_alpha_dropout")},
    "dropout1d": (seeded(F.dropout1d, 0.4), [apart(2, 3, 2)]),
    "dropout2d": (seeded(F.dropout2d, 0.4), [apart(2, 3, 1, 2)]),
    "dropout3d": (seeded(F.dropout3d, 0.4), [apart(2, 3, 1, 2, 1)]),
}  # fmt: skip

LAYERS: dict[str, Case] = {
    "linear": (F.linear, [apart(2, 3), apart(2, 3), apart(2)]),
    "linear, without bias": (F.linear, [apart(4), apart(5, 4)]),
    "bilinear": (F.bilinear, [apart(2, 3), apart(2, 2), apart(2, 3, 2), apart(2)]),
    "conv1d": (of(F.conv1d, 2, 1, 1, 2), [apart(1, 4, 7), apart(6, 2, 3), apart(6)]),
    "conv2d": (of(F.conv2d, (2, 1), (1, 0), (1, 2), 2), [apart(1, 4, 6, 5), apart(4, 2, 3, 2), apart(4)]),
    "conv1d, valid": (of(F.conv1d, None, 2, "valid"), [apart(2, 4, 7), apart(3, 4, 3)]),
    "conv2d, same": (of(F.conv2d, padding="same"), [apart(2, 4, 3), apart(2, 2, 2, 3)]),
    "conv_transpose1d": (of(F.conv_transpose1d, stride=2, padding=1, output_padding=1), [apart(2, 3, 4), apart(3, 2, 3), apart(2)]),
    "conv_transpose2d": (of(F.conv_transpose2d, stride=2, groups=2), [apart(1, 2, 2, 3), apart(2, 2, 2, 2), apart(4)]),
    "max_pool1d": (of(F.max_pool1d, 3, 2, 1), [apart(2, 2, 7)]),
    "max_pool2d": (of(F.max_pool2d, 3, 2, 1, ceil_mode=True), [apart(1, 2, 5, 6)]),
    "max_pool2d, wide": (of(F.max_pool2d, 17, 1), [apart(1, 1, 18, 19)]),
    "avg_pool1d": (of(F.avg_pool1d, 3, 2, 1), [apart(2, 2, 7)]),
    "avg_pool2d": (of(F.avg_pool2d, 3, 2, 1, True, False), [apart(1, 2, 5, 6)]),
    "lp_pool1d": (of(F.lp_pool1d, 3, 2), [positive(1, 2, 5)]),
    "lp_pool2d": (of(F.lp_pool2d, 3, 2), [positive(1, 1, 4, 4)]),
    "adaptive_avg_pool1d": (of(F.adaptive_avg_pool1d, 3), [apart(1, 2, 5)]),
    "adaptive_avg_pool2d": (of(F.adaptive_avg_pool2d, (3, 2)), [apart(1, 2, 5, 4)]),
    "adaptive_max_pool1d": (of(F.adaptive_max_pool1d, 3), [apart(1, 2, 5)]),
    "adaptive_max_pool2d": (of(F.adaptive_max_pool2d, (3, 2)), [apart(1, 2, 5, 4)]),
    "max_unpool1d": (lambda x: F.max_unpool1d(x, fixed([[[0, 3]]], "int64"), 2), [apart(1, 1, 2)]),
    "max_unpool2d": (lambda x: F.max_unpool2d(x, fixed([[[[0, 3], [9, 14]]]], "int64"), 2), [apart(1, 1, 2, 2)]),
    "fractional_max_pool2d": (
        lambda x: F.fractional_max_pool2d(x, 2, output_size=(3, 2), _random_samples=fixed([[[0.3, 0.7]]])), [apart(1, 1, 7, 6)]),
    "fold": (of(F.fold, (4, 3), 2), [apart(1, 4, 6)]),
    "unfold": (of(F.unfold, 2, padding=1), [apart(1, 1, 3, 3)]),
    **{f"pad, {mode}": (of(F.pad, (1, 2, 1, 0), mode), [apart(1, 2, 3, 4)]) for mode in ("constant", "reflect", "replicate", "circular")},
    **{f"interpolate, {mode}": (of(F.interpolate, size=(3, 5), mode=mode), [apart(1, 1, 4, 3)]) for mode in (
        "nearest", "nearest-exact", "bilinear", "bicubic", "area")},
    "interpolate, linear": (of(F.interpolate, scale_factor=1.5, mode="linear", align_corners=True), [apart(1, 2, 4)]),
    "interpolate, smoothed": (of(F.interpolate, size=(2, 2), mode="bilinear", antialias=True), [apart(1, 1, 5, 4)]),
    "upsample": (of(F.upsample, scale_factor=2), [apart(1, 1, 2, 3)]),
    "upsample_bilinear": (of(F.upsample_bilinear, scale_factor=2), [apart(1, 1, 2, 3)]),
    "upsample_nearest": (of(F.upsample_nearest, scale_factor=2), [apart(1, 1, 2, 3)]),
    "pixel_shuffle": (of(F.pixel_shuffle, 2), [apart(1, 4, 2, 3)]),
    "pixel_unshuffle": (of(F.pixel_unshuffle, 2), [apart(1, 1, 4, 2)]),
    "channel_shuffle": (of(F.channel_shuffle, 2), [apart(1, 4, 2)]),
    "affine_grid": (of(F.affine_grid, (2, 1, 3, 2), align_corners=False), [apart(2, 2, 3)]),
    **{f"grid_sample, {mode} {padding}": (of(F.grid_sample, mode, padding, False), [apart(1, 2, 4, 5), apart(1, 3, 2, 2) * 0.8])
       for mode, padding in (("bilinear", "zeros"), ("bilinear", "border"), ("bilinear", "reflection"), ("nearest", "zeros"), ("bicubic", "zeros"),
                             ("bicubic", "reflection"))},
    "layer_norm": (lambda x, w, b: F.layer_norm(x, 4, w, b), [apart(3, 4), apart(4), apart(4)]),
    "rms_norm": (lambda x, w: F.rms_norm(x, 4, w), [apart(3, 4), apart(4)]),
    "group_norm": (lambda x, w, b: F.group_norm(x, 2, w, b), [apart(2, 4, 3), apart(4), apart(4)]),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), [apart(4, 2, 2), apart(2), apart(2)]),
    "batch_norm, in use": (lambda x, w, b: F.batch_norm(x, fixed([0.1, 0.2]), fixed([1.1, 0.7]), w, b), [apart(4, 2), apart(2), apart(2)]),
    "instance_norm": (lambda x, w: F.instance_norm(x, weight=w), [apart(2, 2, 4), apart(2)]),
    "local_response_norm": (of(F.local_response_norm, 3, 0.5), [apart(1, 4, 2)]),
    "embedding": (lambda w: F.embedding(fixed([2, 0, 2], "int64"), w, padding_idx=1), [apart(3, 2)]),
    **{f"embedding_bag, {mode}": (lambda w, mode=mode: F.embedding_bag(fixed([[2, 0], [1, 2]], "int64"), w, mode=mode), [apart(3, 2)])
       for mode in ("sum", "mean", "max")},
    "embedding_bag, weighted": (
        lambda w, s: F.embedding_bag(fixed([[2, 0], [1, 2]], "int64"), w, mode="sum", per_sample_weights=s), [apart(3, 2), apart(2, 2)]),
    "scaled_dot_product_attention": (of(F.scaled_dot_product_attention, is_causal=True), [apart(1, 3, 2), apart(1, 3, 2), apart(1, 3, 2)]),
    "scaled_dot_product_attention, masked": (F.scaled_dot_product_attention, [apart(1, 3, 2), apart(1, 4, 2), apart(1, 4, 2), apart(3, 4)]),
}  # fmt: skip

# Every loss with gradients by all that mathematics lets vary; reduction="none" leaves each element's own.
LOSSES: dict[str, Case] = {
    **{n: (of(getattr(F, n), reduction="none"), [apart(2, 3), apart(2, 3) * 0.37]) for n in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")},
    "kl_div": (of(F.kl_div, reduction="sum"), [apart(2, 3), positive(2, 3)]),
    "kl_div, of logarithms": (of(F.kl_div, reduction="sum", log_target=True), [apart(2, 3), apart(2, 3)]),
    "cross_entropy": (lambda x: F.cross_entropy(x, CLASSES, fixed([0.5, 1, 2]), label_smoothing=0.1), [apart(2, 3)]),
    "cross_entropy, rows": (
        lambda x: F.cross_entropy(x, fixed([[0, 2, 2], [1, 1, 0]], "int64"), fixed([0.5, 1, 2]), reduction="none", ignore_index=1), [apart(2, 3, 3)]),
    "cross_entropy, probabilities": (lambda x, p: F.cross_entropy(x, p), [apart(2, 3), positive(2, 3)]),
    "nll_loss": (lambda x: F.nll_loss(x, CLASSES, ignore_index=0), [apart(2, 3)]),
    "poisson_nll_loss": (lambda x: F.poisson_nll_loss(x, fixed([[2, 0.3, 1.2], [3, 0.5, 1.7]]), full=True), [apart(2, 3)]),
    "gaussian_nll_loss": (lambda x, t, v: F.gaussian_nll_loss(x, t, v, full=True), [apart(2, 3), apart(2, 3), positive(2, 3)]),
    "binary_cross_entropy": (lambda x, t: F.binary_cross_entropy(x, t, reduction="sum"), [within(2, 3) / 2 + 0.5, within(2, 3) / 2 + 0.5]),
    "binary_cross_entropy_with_logits": (
        lambda x, t: F.binary_cross_entropy_with_logits(x, t, pos_weight=fixed([0.5, 1, 2])), [apart(2, 3), within(2, 3) / 2 + 0.5]),
    "hinge_embedding_loss": (lambda x: F.hinge_embedding_loss(x, 2 * BITS - 1), [apart(2, 3)]),
    "margin_ranking_loss": (lambda a, b: F.margin_ranking_loss(a, b, SIGNS, margin=0.3), [apart(2), apart(2) * 0.41]),
    "soft_margin_loss": (lambda x: F.soft_margin_loss(x, 2 * BITS - 1), [apart(2, 3)]),
    "multi_margin_loss": (lambda x: F.multi_margin_loss(x, CLASSES, p=2, margin=0.7), [apart(2, 3)]),
    "multilabel_margin_loss": (lambda x: F.multilabel_margin_loss(x, fixed([[2, 0, -1], [1, -1, 0]], "int64")), [apart(2, 3)]),
    "multilabel_soft_margin_loss": (lambda x: F.multilabel_soft_margin_loss(x, BITS), [apart(2, 3)]),
    "cosine_embedding_loss": (lambda a, b: F.cosine_embedding_loss(a, b, SIGNS, margin=-1.0), [apart(2, 3), positive(2, 3)]),
    "triplet_margin_loss": (of(F.triplet_margin_loss, margin=4.0, swap=True), [apart(2, 3), apart(2, 3), apart(2, 3)]),
    "triplet_margin_with_distance_loss": (of(F.triplet_margin_with_distance_loss, margin=4.0), [apart(2, 3), apart(2, 3), apart(2, 3)]),
    "ctc_loss": (
        lambda x: F.ctc_loss(F.log_softmax(x, 2), fixed([[1, 2], [3, 3]], "int64"), fixed([4, 4], "int64"), fixed([2, 2], "int64")), [apart(4, 2, 4)]),
    "cosine_similarity": (F.cosine_similarity, [apart(2, 3), positive(2, 3)]),
    "pairwise_distance": (of(F.pairwise_distance, 3.0), [apart(2, 3), apart(2, 3)]),
    "pdist": (F.pdist, [apart(4, 3)]),
    "pdist, another p": (of(F.pdist, 3.0), [apart(4, 3)]),
}  # fmt: skip

CASES: dict[str, Case] = {
    **ARRAYS,
    **{f"nn.functional.{name}": case for table in (ACTIVATIONS, LAYERS, LOSSES) for name, case in table.items()},
}

NONE = {
    "their results are truth values, integers or places, which do not vary": (
        "all", "allclose", "any", "argmax", "argmin", "argsort", "array_equal", "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_or",
        "bitwise_right_shift", "bitwise_xor", "count_nonzero", "equal", "greater", "greater_equal", "isfinite", "isinf", "isnan", "less", "less_equal",
        "logical_and", "logical_not", "logical_or", "logical_xor", "nonzero", "not_equal", "searchsorted", "signbit", "nn.functional.one_hot"),
    "their slope is zero wherever they have one": ("ceil", "floor", "floor_divide", "round", "sign", "trunc"),
    "they are steps between neighbouring numbers, not functions of the reals": ("nextafter",),
    "they make tensors of nothing, or of shapes alone": (
        "arange", "empty", "empty_like", "eye", "full", "full_like", "linspace", "ones", "ones_like", "zeros", "zeros_like", "tensor", "from_dlpack"),
    "they are about dtypes, devices and settings": (
        "can_cast", "cudasim", "device", "enable_grad", "finfo", "iinfo", "isdtype", "manual_seed", "memory_stats", "no_grad", "result_type", "set_grad_enabled", "set_num_threads", "set_poison"),
    "sets: the order of their values is no function of the input that the standard fixes": (
        "unique_all", "unique_counts", "unique_inverse", "unique_values"),
    "complex tensors are outside the graph": ("imag",),
    "it differentiates": ("grad",),
    "it makes ops, whose gradients tests/test_elementwise.py holds": ("elementwise",),
}  # fmt: skip
