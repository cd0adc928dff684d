"""PyTorch's names in the top namespace, where the array API standard has others: `ww.cat`, `ww.randn`, `ww.clamp`, ...

Imported when one of them is first asked for. Those of the same arguments are our function itself; the others take PyTorch's and call ours.
ABSENT says what to write in place of names that mean something else here, or nothing. docs/pytorch.md tells the differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import whitewolf as ww

from ._named import named
from .tensor import Tensor

if TYPE_CHECKING:
    from .ops.creation import DeviceLike

# PyTorch's name and ours, for functions whose arguments are the same by place.
SAME = {
    "absolute": "abs", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh", "arctan": "atan", "arctan2": "atan2",
    "arctanh": "atanh", "as_tensor": "asarray", "bernoulli": "random.bernoulli", "bitwise_not": "bitwise_invert", "bmm": "matmul", "broadcast_tensors": "broadcast_arrays",
    "clamp": "clip", "cosine_similarity": "nn.functional.cosine_similarity", "div": "divide", "double": "float64", "dropout": "nn.functional.dropout", "eq": "equal", "float": "float32", "from_numpy": "asarray", "ge": "greater_equal",
    "gt": "greater", "half": "float16", "inference_mode": "no_grad", "int": "int32", "le": "less_equal", "log_softmax": "nn.functional.log_softmax", "long": "int64", "lt": "less",
    "mm": "matmul", "movedim": "moveaxis", "mul": "multiply", "mv": "matmul", "ne": "not_equal", "neg": "negative",
    "permute": "permute_dims", "randperm": "random.permutation", "relu": "nn.functional.relu", "sigmoid": "nn.functional.sigmoid",
    "softmax": "nn.functional.softmax", "sub": "subtract", "swapaxes": "transpose", "swapdims": "transpose", "true_divide": "divide",
}  # fmt: skip

# What is absent, and what to use: ww.{name} raises AttributeError with these words.
_LINEAR_ALGEBRA = "ww.matmul, vecdot, tensordot, einsum and matrix_transpose are the linear algebra there is"
ABSENT = {
    **dict.fromkeys(("cross", "det", "inverse", "kron", "linalg", "svd", "trace"), _LINEAR_ALGEBRA),
    "Generator": "the stream of random numbers is one: ww.manual_seed, ww.random.get_state and set_state",
    "autocast": "mixed precision is asked for by ww.precision and stored dtypes; ww.amp.GradScaler scales the loss",
    "compile": "kernels are compiled ahead; @ww.elementwise fuses a scalar function of your own",
    "cuda": "devices are named: device='cuda', ww.devices()",
    "from_file": "ww.load reads safetensors",
    "is_tensor": "isinstance(x, ww.Tensor)",
    "jit": "there is no tracer: Python runs each op",
    "diag": "ww.eye(len(v)) * v for a vector, ww.sum(ww.eye(len(m)) * m, axis=1) for a matrix",
    "dtype": "dtypes are NumPy's: ww.float32 is np.dtype('float32')",
    "get_default_dtype": "Python floats are float32",
    "median": "ww.sort, and the element in the middle",
    "multinomial": "ww.searchsorted(ww.cumulative_sum(p), ww.rand(n)) for probabilities p",
    "narrow": "x[start:start + length] is the view",
    "norm": "ww.sqrt(ww.sum(x * x)), or nn.functional.normalize",
    "quantile": "ww.sort, and the element at that place",
    "Size": "a shape is a tuple",
    "set_default_dtype": "Python floats are float32; dtype= says otherwise, and Module.double()",
    "set_default_device": "tensors are made on the cpu unless device= says otherwise",
    "swish": "nn.functional.silu",
    "use_deterministic_algorithms": "the same bits come from run to run anyway",
    "unique": "ww.unique_values, unique_counts, unique_inverse or unique_all",
    "vmap": "ops broadcast over leading dimensions",
}


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """`ww.concat`."""
    return ww.concat(tensors, axis=dim)


def amax(input: Tensor, dim: int | Sequence[int] = (), keepdim: bool = False) -> Tensor:
    """`ww.max`; of all elements without `dim`."""
    return ww.max(input, axis=dim if isinstance(dim, int) else tuple(dim) or None, keepdims=keepdim)


def amin(input: Tensor, dim: int | Sequence[int] = (), keepdim: bool = False) -> Tensor:
    """`ww.min`; of all elements without `dim`."""
    return ww.min(input, axis=dim if isinstance(dim, int) else tuple(dim) or None, keepdims=keepdim)


def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """`ww.cumulative_sum`."""
    return ww.cumulative_sum(input, axis=dim, dtype=dtype)


def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """`ww.cumulative_prod`."""
    return ww.cumulative_prod(input, axis=dim, dtype=dtype)


def clone(input: Tensor) -> Tensor:
    """A copy of the input, in the graph."""
    return ww.astype(input, input.dtype)


def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The product of two vectors.

    Raises:
        ValueError: they are no vectors of one length.
    """
    if input.ndim != 1 or tensor.ndim != 1:
        raise ValueError(f"dot: expected input and tensor of 1 dimension, got shapes {input.shape} and {tensor.shape}")
    return ww.matmul(input, tensor)


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """input[:, None] * vec2, of two vectors.

    Raises:
        ValueError: they are no vectors.
    """
    if input.ndim != 1 or vec2.ndim != 1:
        raise ValueError(f"outer: expected input and vec2 of 1 dimension, got shapes {input.shape} and {vec2.shape}")
    return ww.multiply(input[:, None], vec2)


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta input + alpha mat1 @ mat2."""
    return ww.add(ww.multiply(input, beta), ww.multiply(ww.matmul(mat1, mat2), alpha))


def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """input + weight (end - input)."""
    return ww.add(input, ww.multiply(ww.subtract(end, input), weight))


def repeat_interleave(input: Tensor, repeats: int | Tensor, dim: int | None = None) -> Tensor:
    """`ww.repeat`."""
    return ww.repeat(input, repeats, axis=dim)


def take_along_dim(input: Tensor, indices: Tensor, dim: int) -> Tensor:
    """`ww.take_along_axis`."""
    return ww.take_along_axis(input, indices, axis=dim)


def argwhere(input: Tensor) -> Tensor:
    """`ww.nonzero` in one tensor: a row of indices for each element that is not zero."""
    return ww.stack(ww.nonzero(input), axis=1)


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements of the input where the mask, of its shape, is true: `input[mask]`."""
    return input[mask]


def numel(input: Tensor) -> int:
    """`input.size`."""
    return input.size


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """`ww.unstack`."""
    return ww.unstack(input, axis=dim)


def t(input: Tensor) -> Tensor:
    """`input.T`, of a matrix, or of fewer dimensions as it is.

    Raises:
        ValueError: the input has more than two dimensions.
    """
    if input.ndim > 2:
        raise ValueError(f"t: expected input of at most 2 dimensions, got input.shape == {input.shape}")
    return input.T


def rand(*size: Any, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """`ww.random.uniform` on [0, 1); sizes one by one, or as one sequence."""
    return ww.random.uniform(_sizes(size), dtype=dtype, device=device, requires_grad=requires_grad)


def randn(*size: Any, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """`ww.random.normal` of mean 0 and standard deviation 1; sizes one by one, or as one sequence."""
    return ww.random.normal(_sizes(size), dtype=dtype, device=device, requires_grad=requires_grad)


def randint(low: int, high: Any, size: Any = None, *, device: DeviceLike = None) -> Tensor:
    """`ww.random.randint(low, high, size)`, or `randint(high, size)` from 0."""
    if size is None:
        low, high, size = 0, low, high
    return ww.random.randint(low, high, size, device=device)


def rand_like(input: Tensor, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """`rand` of the input's shape, dtype and device."""
    return rand(
        *input.shape,
        dtype=input.dtype if dtype is None else dtype,
        device=input.device if device is None else device,
        requires_grad=requires_grad,
    )


def randn_like(input: Tensor, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """`randn` of the input's shape, dtype and device."""
    return randn(
        *input.shape,
        dtype=input.dtype if dtype is None else dtype,
        device=input.device if device is None else device,
        requires_grad=requires_grad,
    )


def _sizes(size: tuple[Any, ...]) -> Any:
    return size[0] if len(size) == 1 and isinstance(size[0], (tuple, list)) else size


_FUNCTIONS = (
    cat, amax, amin, cumsum, cumprod, clone, dot, outer, addmm, lerp, repeat_interleave, take_along_dim, argwhere, masked_select, numel, unbind, t,
    rand, randn, randint, rand_like, randn_like,
)  # fmt: skip
OURS = {f.__name__: named(f) for f in _FUNCTIONS}


def find(name: str) -> Any:
    """The function of PyTorch's name.

    Raises:
        AttributeError: there is none; for those that PyTorch has, the text says what to use.
    """
    if name in OURS:
        return OURS[name]
    if name in SAME:
        return reduce(getattr, SAME[name].split("."), ww)
    hint = f"; {ABSENT[name]}" if name in ABSENT else ""
    raise AttributeError(f"module 'whitewolf' has no attribute {name!r}{hint}")
