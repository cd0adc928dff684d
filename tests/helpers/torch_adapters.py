"""PyTorch's operators said in our words: one entry for each name of its operator database that we have.

An entry takes what PyTorch's operator takes, with our tensors in place of PyTorch's, and calls ours. Where both have the same words it
is our function itself. It renames arguments (`dim` is `axis`), spells out defaults that differ (the array API's `std` divides by n) and
joins what PyTorch returns as one (values and indices). It computes nothing by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import whitewolf as ww
from whitewolf.nn import functional as F

Adapter = Callable[..., Any]


def _axes(dim: Any) -> Any:
    return None if dim is None or (isinstance(dim, (tuple, list)) and not dim) else tuple(dim) if isinstance(dim, list) else dim


def _reduction(op: Adapter, *, dtype: bool = False) -> Adapter:
    def run(x: Any, dim: Any = None, keepdim: bool = False, **named: Any) -> Any:
        return op(x, axis=_axes(dim), keepdims=keepdim, **named)

    return run


def _spread(op: Adapter) -> Adapter:
    """Sizes one by one, or as one sequence."""
    return lambda x, *sizes: op(x, tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes)


def _dim(op: Adapter, default: Any = None) -> Adapter:
    return lambda x, dim=default, **named: op(x, axis=dim, **named)


def _arrays(op: Adapter) -> Adapter:
    return lambda arrays, dim=0: op(arrays, axis=dim)


def _like(op: Adapter) -> Adapter:
    """Creation beside a tensor: `requires_grad` and places other than cpu are PyTorch's own."""

    def run(*given: Any, device: Any = None, requires_grad: bool = False, layout: Any = None, **named: Any) -> Any:
        return op(*given, **named)

    return run


# ---- arithmetic ----


def _scaled(op: Adapter) -> Adapter:
    return lambda x, other, alpha=1: op(x, other if alpha == 1 else ww.multiply(other, alpha))


def _divide(x: Any, other: Any, rounding_mode: str | None = None) -> Any:
    rounding: Any = {None: ww.divide, "floor": ww.floor_divide, "trunc": lambda a, b: ww.trunc(ww.divide(a, b))}
    return rounding[rounding_mode](x, other)


def _clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    return ww.clip(x, min, max)


def _round(x: Any, decimals: int = 0) -> Any:
    scale = 10.0 ** abs(decimals)
    return ww.round(x) if not decimals else ww.round(x * scale) / scale if decimals > 0 else ww.round(x / scale) * scale


def _cast(dtype: str, x: Any, **_: Any) -> Any:
    return ww.astype(x, ww.bfloat16 if dtype == "bfloat16" else dtype)


def _logical(op: Adapter) -> Adapter:
    return lambda *xs: op(*(ww.astype(x, ww.bool) for x in xs))


def _sized(x: Any, dim: Any) -> tuple[Any, Any]:
    return (ww.reshape(x, (-1,)), 0) if dim is None else (x, dim)


# ---- reductions ----


def _correction(op: Adapter) -> Adapter:
    def run(x: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, correction: Any = None) -> Any:
        if isinstance(dim, bool):  # the overload with `unbiased` alone
            dim, unbiased = None, dim
        n = (1 if unbiased is None or unbiased else 0) if correction is None else correction
        return op(x, axis=_axes(dim), correction=n, keepdims=keepdim)

    return run


def _with_mean(op: Adapter) -> Adapter:
    def run(x: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, correction: Any = None) -> Any:
        spread = _correction(op)(x, dim, unbiased, keepdim, correction)
        return spread, ww.mean(x, axis=None if isinstance(dim, bool) else _axes(dim), keepdims=keepdim)

    return run


def _extreme(op: Adapter, argument: Adapter, pairwise: Adapter) -> Adapter:
    def run(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        if isinstance(dim, ww.Tensor):
            return pairwise(x, dim)
        if dim is None:
            return op(x)
        return op(x, axis=dim, keepdims=keepdim), argument(x, axis=dim, keepdims=keepdim)

    return run


def _argument(op: Adapter) -> Adapter:
    return lambda x, dim=None, keepdim=False: op(x, axis=dim, keepdims=keepdim)


# ---- arrangement ----


def _permute(x: Any, *dims: Any) -> Any:
    return ww.permute_dims(x, tuple(dims[0]) if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims)


def _flatten_to(x: Any, dim: int, sizes: Any) -> Any:
    at = dim % x.ndim
    return ww.reshape(x, (*x.shape[:at], *(_inferred(x.shape[at], sizes)), *x.shape[at + 1 :]))


def _inferred(n: int, sizes: Any) -> tuple[int, ...]:
    known = math.prod(s for s in sizes if s != -1)
    return tuple(n // known if s == -1 else s for s in sizes)


def _tensor_split(x: Any, at: Any, dim: int = 0) -> Any:
    n, at = x.shape[dim], at.tolist() if isinstance(at, ww.Tensor) else at
    if isinstance(at, int):
        small, more = divmod(n, at)
        return ww.split(x, [small + 1] * more + [small] * (at - more), dim)
    edges = [0, *at, n]
    return ww.split(x, [b - a for a, b in zip(edges, edges[1:])], dim)


def _squeeze(x: Any, dim: Any = None) -> Any:
    """PyTorch passes over dimensions that are not 1; the array API refuses them."""
    dims = range(x.ndim) if dim is None else dim if isinstance(dim, (tuple, list)) else (dim,)
    return ww.squeeze(x, tuple(d for d in dims if x.shape[d] == 1)) if x.ndim else x


def _narrow(x: Any, dim: int, start: Any, length: int) -> Any:
    first = int(start) % max(x.shape[dim], 1) if int(start) < 0 else int(start)
    return x[(slice(None),) * (dim % x.ndim) + (slice(first, first + length),)]


def _stack_along(axis: int, least: int) -> Adapter:
    """hstack and its kin: at least so many dimensions, then joined along one."""
    grow = {1: _atleast_1d, 2: _atleast_2d, 3: _atleast_3d}[least]

    def run(arrays: Any) -> Any:
        grown = [grow(x) for x in arrays]
        return ww.concat(grown, axis=0 if least == 1 and grown[0].ndim == 1 else axis)

    return run


def _atleast_1d(x: Any) -> Any:
    return x if x.ndim else ww.reshape(x, (1,))


def _atleast_2d(x: Any) -> Any:
    return x if x.ndim > 1 else ww.reshape(x, (1, -1 if x.size else 0))


def _atleast_3d(x: Any) -> Any:
    return x if x.ndim > 2 else ww.unsqueeze(_atleast_2d(x) if x.ndim < 2 else x, -1)


def _several(op: Adapter) -> Adapter:
    return lambda *xs: (
        tuple(op(x) for x in (xs[0] if isinstance(xs[0], (tuple, list)) else xs))
        if len(xs) > 1 or isinstance(xs[0], (tuple, list))
        else op(xs[0])
    )


def _column_stack(arrays: Any) -> Any:
    return ww.concat([ww.reshape(x, (-1, 1)) if x.ndim < 2 else x for x in arrays], axis=1)


def _meshgrid(*arrays: Any, indexing: str = "ij") -> Any:
    given = arrays[0] if isinstance(arrays[0], (tuple, list)) else arrays
    return ww.meshgrid(*(_atleast_1d(x) for x in given), indexing=indexing)


def _rot90(x: Any, k: int = 1, dims: Any = (0, 1)) -> Any:
    a, b = dims
    turned = {0: lambda: x, 1: lambda: ww.flip(ww.transpose(x, a, b), axis=a), 2: lambda: ww.flip(x, axis=(a, b)),
              3: lambda: ww.flip(ww.transpose(x, a, b), axis=b)}  # fmt: skip
    return turned[k % 4]()


def _select(x: Any, dim: int, index: Any) -> Any:
    return x[(slice(None),) * (dim % x.ndim) + (int(index),)]


def _repeat_interleave(x: Any, repeats: Any, dim: Any = None, output_size: Any = None) -> Any:
    return ww.repeat(x, repeats, axis=dim)


# ---- indexing ----


def _assigned(x: Any, key: Any, value: Any) -> Any:
    y = x * 1
    y[key] = value
    return y


def _index_put(x: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    if accumulate:
        return _assigned_sum(x, indices, values)
    return _assigned(x, tuple(indices), values)


def _assigned_sum(x: Any, indices: Any, values: Any) -> Any:
    (index,) = indices
    if index.dtype == ww.bool:
        (index,) = ww.nonzero(index)
    return ww.index_add(x, 0, index, ww.broadcast_to(values, (*index.shape, *x.shape[1:])))


def _take_along(x: Any, indices: Any, dim: Any = None) -> Any:
    x, at = _sized(x, dim)
    if dim is None:
        indices = ww.reshape(indices, (-1,))
    return ww.take_along_axis(x, indices, axis=at)


def _searchsorted(
    edges: Any, values: Any, *, right: bool = False, side: Any = None, sorter: Any = None, out_int32: bool = False
) -> Any:
    found = ww.searchsorted(edges, values, side=side or ("right" if right else "left"), sorter=sorter)
    return ww.astype(found, ww.int32) if out_int32 else found


def _where(x: Any, condition: Any, other: Any) -> Any:
    return ww.where(condition, x, other)  # the database hands the condition second


def _sort(x: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    named = {"axis": dim, "descending": descending, "stable": stable}
    return ww.sort(x, **named), ww.argsort(x, **named)


# ---- products ----


def _added(product: Adapter) -> Adapter:
    return lambda x, a, b, beta=1, alpha=1: x * beta + product(a, b) * alpha


def _inner(a: Any, b: Any) -> Any:
    return a * b if not a.ndim or not b.ndim else ww.tensordot(a, b, axes=((a.ndim - 1,), (b.ndim - 1,)))


def _outer(a: Any, b: Any) -> Any:
    return ww.unsqueeze(a, 1) * ww.unsqueeze(b, 0)


def _vecdot(a: Any, b: Any, dim: int = -1) -> Any:
    return ww.sum(ww.multiply(a, b), axis=dim)


def _tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    return ww.tensordot(a, b, axes=dims)


def _multi_dot(arrays: Any) -> Any:
    out = arrays[0]
    for x in arrays[1:]:
        out = ww.matmul(out, x)
    return out


ARITHMETIC: dict[str, Adapter] = {
    **{n: getattr(ww, n) for n in (
        "abs", "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "ceil", "conj", "copysign", "cos", "cosh", "erf", "exp", "exp2", "expm1",
        "floor", "floor_divide", "hypot", "isfinite", "isinf", "isnan", "log", "log10", "log1p", "log2", "logaddexp", "maximum", "minimum",
        "nextafter", "positive", "pow", "real", "reciprocal", "remainder", "rsqrt", "sign", "signbit", "sin", "sinh", "sqrt", "square", "tan",
        "tanh", "trunc",
    )},
    "add": _scaled(ww.add), "sub": _scaled(ww.subtract), "rsub": lambda x, other, alpha=1: ww.subtract(other, x if alpha == 1 else x * alpha), "mul": ww.multiply, "div": _divide,
    "true_divide": ww.divide, "neg": ww.negative, "sgn": ww.sign, "conj_physical": ww.conj, "resolve_conj": ww.positive,
    "resolve_neg": ww.positive, "round": _round, "sigmoid": F.sigmoid, "eq": ww.equal, "ne": ww.not_equal, "lt": ww.less, "le": ww.less_equal,
    "gt": ww.greater, "ge": ww.greater_equal, "logical_and": _logical(ww.logical_and), "logical_or": _logical(ww.logical_or),
    "logical_xor": _logical(ww.logical_xor), "logical_not": _logical(ww.logical_not), "clamp": _clamp, "clamp_min": _clamp,
    "clamp_max": lambda x, max: ww.clip(x, None, max), "float_power": lambda a, b: ww.pow(a, b), "deg2rad": lambda x: x * (math.pi / 180),
    "rad2deg": lambda x: x * (180 / math.pi), "frac": lambda x: x - ww.trunc(x), "erfc": lambda x: 1 - ww.erf(x),
    "lerp": lambda a, b, w: a + (b - a) * w, "addcmul": lambda x, a, b, value=1: x + a * b * value,
    "addcdiv": lambda x, a, b, value=1: x + a / b * value, "allclose": ww.allclose, "equal": ww.array_equal,
    "__radd__": lambda x, other: other + x, "__rsub__": lambda x, other: other - x, "__rmul__": lambda x, other: other * x,
    "__rdiv__": lambda x, other: other / x, "__rpow__": lambda x, other: other**x, "__rmod__": lambda x, other: other % x,
    "__rmatmul__": lambda x, other: other @ x,
    **{n: partial(_cast, dtype) for n, dtype in {
        "float": "float32", "double": "float64", "half": "float16", "long": "int64", "int": "int32", "short": "int16", "char": "int8",
        "byte": "uint8", "bool": "bool", "bfloat16": "bfloat16", "cfloat": "complex64", "cdouble": "complex128"}.items()},
}  # fmt: skip


def _drawn(x: ww.Tensor) -> ww.Tensor:
    """The numbers that PyTorch's database draws for fractional pooling."""
    torch.manual_seed(42)
    return ww.asarray(torch.rand((*((1, *x.shape) if x.ndim == 3 else x.shape)[:2], 2), dtype=torch.float64).numpy())


REDUCTIONS: dict[str, Adapter] = {
    "sum": _reduction(ww.sum), "mean": _reduction(ww.mean), "prod": _reduction(ww.prod), "amax": _reduction(ww.max), "amin": _reduction(ww.min),
    "all": _reduction(ww.all), "any": _reduction(ww.any), "count_nonzero": lambda x, dim=None: ww.count_nonzero(x, axis=_axes(dim)),
    "logsumexp": _reduction(ww.logsumexp), "std": _correction(ww.std), "var": _correction(ww.var), "std_mean": _with_mean(ww.std),
    "var_mean": _with_mean(ww.var), "max": _extreme(ww.max, ww.argmax, ww.maximum), "min": _extreme(ww.min, ww.argmin, ww.minimum),
    "argmax": _argument(ww.argmax), "argmin": _argument(ww.argmin), "cumsum": lambda x, dim, dtype=None: ww.cumulative_sum(x, axis=dim, dtype=dtype),
    "cumprod": lambda x, dim, dtype=None: ww.cumulative_prod(x, axis=dim, dtype=dtype),
    "diff": lambda x, n=1, dim=-1, prepend=None, append=None: ww.diff(x, n=n, axis=dim, prepend=prepend, append=append),
    "nansum": lambda x, dim=None, keepdim=False, dtype=None: ww.sum(ww.where(ww.isnan(x), 0.0, x), axis=_axes(dim), keepdims=keepdim, dtype=dtype),
    "softmax": F.softmax, "log_softmax": F.log_softmax,
}  # fmt: skip

ARRANGEMENT: dict[str, Adapter] = {
    "reshape": ww.reshape, "view": lambda x, shape: x.view(shape), "reshape_as": lambda x, other: ww.reshape(x, other.shape),
    "view_as": lambda x, other: x.view(other.shape), "permute": _permute, "transpose": ww.transpose, "t": lambda x: x.T, "T": lambda x: x.T,
    "H": lambda x: x.T, "mT": lambda x: x.mT, "mH": lambda x: x.mT, "squeeze": _squeeze,
    "unsqueeze": lambda x, dim: ww.unsqueeze(x, dim), "flatten": ww.flatten, "ravel": lambda x: ww.reshape(x, (-1,)), "unflatten": _flatten_to,
    "expand": _spread(lambda x, shape: x.expand(shape)), "expand_as": lambda x, other: ww.broadcast_to(x, other.shape), "broadcast_to": ww.broadcast_to,
    "broadcast_tensors": ww.broadcast_arrays, "cat": _arrays(ww.concat), "stack": _arrays(ww.stack), "hstack": _stack_along(1, 1),
    "vstack": _stack_along(0, 2), "dstack": _stack_along(2, 3), "column_stack": _column_stack, "chunk": lambda x, chunks, dim=0: ww.chunk(x, chunks, dim),
    "unsafe_chunk": lambda x, chunks, dim=0: ww.chunk(x, chunks, dim), "split": lambda x, sizes, dim=0: ww.split(x, sizes, dim),
    "unsafe_split": lambda x, sizes, dim=0: ww.split(x, sizes, dim), "split_with_sizes": lambda x, sizes, dim=0: ww.split(x, sizes, dim),
    "tensor_split": _tensor_split, "unbind": lambda x, dim=0: ww.unstack(x, axis=dim), "flip": lambda x, dims: ww.flip(x, axis=tuple(dims)),
    "fliplr": lambda x: ww.flip(x, axis=1), "flipud": lambda x: ww.flip(x, axis=0), "roll": lambda x, shifts, dims=None: ww.roll(x, shifts, axis=dims),
    "rot90": _rot90, "repeat": _spread(ww.tile), "tile": _spread(ww.tile), "repeat_interleave": _repeat_interleave, "movedim": ww.moveaxis,
    "meshgrid": _meshgrid, "narrow": _narrow, "select": _select, "contiguous": lambda x: x.contiguous(), "clone": lambda x: x.clone(),
    "tril": lambda x, diagonal=0: ww.tril(x, k=diagonal), "triu": lambda x, diagonal=0: ww.triu(x, k=diagonal), "atleast_1d": _several(_atleast_1d),
    "atleast_2d": _several(_atleast_2d), "atleast_3d": _several(_atleast_3d),
}  # fmt: skip

INDEXING: dict[str, Adapter] = {
    "__getitem__": lambda x, key: x[key], "gather": ww.gather, "scatter": ww.scatter, "scatter_add": ww.scatter_add, "index_select": ww.index_select,
    "index_add": ww.index_add, "index_put": _index_put, "masked_fill": ww.masked_fill, "masked_select": lambda x, mask: ww.broadcast_to(x, ww.broadcast_arrays(x, mask)[0].shape)[ww.broadcast_to(mask, ww.broadcast_arrays(x, mask)[0].shape)],
    "take": lambda x, index: ww.reshape(ww.take(ww.reshape(x, (-1,)), ww.reshape(index, (-1,)), axis=0), index.shape),
    "take_along_dim": _take_along, "where": _where, "searchsorted": _searchsorted,
    "bucketize": lambda x, edges, right=False, out_int32=False: _searchsorted(edges, x, right=right, out_int32=out_int32),
    "nonzero": lambda x, as_tuple=False: ww.nonzero(x) if as_tuple else ww.stack(ww.nonzero(x), axis=1), "argwhere": lambda x: ww.stack(ww.nonzero(x), axis=1),
    "topk": ww.topk, "sort": _sort, "argsort": lambda x, dim=-1, descending=False, stable=True: ww.argsort(x, axis=dim, descending=descending, stable=stable),
    "msort": lambda x: ww.sort(x, axis=0),
}  # fmt: skip

PRODUCTS: dict[str, Adapter] = {
    **{n: ww.matmul for n in ("matmul", "mm", "bmm", "mv", "dot", "vdot")}, "tensordot": _tensordot, "inner": _inner, "outer": _outer, "linalg.vecdot": _vecdot,
    "linalg.multi_dot": _multi_dot, "addmm": _added(ww.matmul), "addmv": _added(ww.matmul), "baddbmm": _added(ww.matmul), "addr": _added(_outer),
    "einsum": lambda tensors, equation: ww.einsum(equation, *tensors), "addbmm": _added(lambda a, b: ww.sum(ww.matmul(a, b), axis=0)),
}  # fmt: skip

CREATION: dict[str, Adapter] = {
    "zeros": _like(ww.zeros), "ones": _like(ww.ones), "full": _like(ww.full), "zeros_like": _like(ww.zeros_like), "ones_like": _like(ww.ones_like),
    "full_like": _like(ww.full_like), "eye": _like(ww.eye), "arange": _like(lambda *places, start=0, end=None, step=1, **named: ww.arange(*places, **named) if end is None else ww.arange(start, end, step, **named)), "linspace": _like(ww.linspace),
    "new_zeros": _like(lambda x, size, dtype=None: ww.zeros(tuple(size), dtype=dtype or x.dtype)),
    "new_ones": _like(lambda x, size, dtype=None: ww.ones(tuple(size), dtype=dtype or x.dtype)),
    "new_full": _like(lambda x, size, value, dtype=None: ww.full(tuple(size), value, dtype=dtype or x.dtype)),
}  # fmt: skip

# The same words and arguments as PyTorch's, so that nothing need be said.
FUNCTIONS = (
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d", "avg_pool1d", "avg_pool2d", "batch_norm", "bilinear", "channel_shuffle",
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "celu", "conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d",
    "cosine_embedding_loss", "cosine_similarity", "cross_entropy", "elu", "gaussian_nll_loss", "gelu", "glu", "group_norm",
    "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "hinge_embedding_loss", "huber_loss", "instance_norm", "interpolate", "kl_div", "l1_loss",
    "layer_norm", "leaky_relu", "linear", "local_response_norm", "logsigmoid", "margin_ranking_loss", "max_pool1d", "max_pool2d", "max_unpool1d",
    "max_unpool2d", "mish", "mse_loss", "multi_margin_loss", "multilabel_soft_margin_loss", "nll_loss", "normalize", "pad", "pairwise_distance",
    "pixel_shuffle", "pixel_unshuffle", "poisson_nll_loss", "prelu", "relu", "relu6", "rms_norm", "rrelu", "scaled_dot_product_attention", "selu", "silu",
    "smooth_l1_loss", "soft_margin_loss", "softmin", "softplus", "softshrink", "softsign", "tanhshrink", "threshold", "triplet_margin_loss", "unfold",
    "ctc_loss", "grid_sample", "multilabel_margin_loss", "pdist", "upsample_bilinear", "upsample_nearest",
)  # fmt: skip

ADAPTERS: dict[str, Adapter] = {
    **ARITHMETIC, **REDUCTIONS, **ARRANGEMENT, **INDEXING, **PRODUCTS, **CREATION,
    **{f"nn.functional.{name}": getattr(F, name) for name in FUNCTIONS},
    "nn.functional.embedding": lambda weight, input, **named: F.embedding(input, weight, **named),
    "nn.functional.triplet_margin_with_distance_loss": lambda *vectors, distance_function=None, **named: F.triplet_margin_with_distance_loss(
        *vectors, distance_function=None if distance_function is None else F.pairwise_distance, **named),
    "nn.functional.fractional_max_pool2d": lambda x, *sizes, **named: F.fractional_max_pool2d(
        x, *sizes, **{"_random_samples": _drawn(x), **named}),
    "nn.functional.embedding_bag": lambda weight, input, **named: F.embedding_bag(input, weight, **named),
}  # fmt: skip
