"""Samples of PyTorch's databases that we do not take, each with its reason. All others must agree.

UNSUPPORTED  refused with a typed error: a pattern of the error's text, and why; a pattern that no sample meets any more is an error
NOT_COMPARED what PyTorch leaves open (random numbers, repeated indices): told by the sample, and why
NO_GRADIENT  operators whose output has no gradient in one of the two, and why; outputs are compared
LOOSE        operators that are less exact in PyTorch: the tolerance, and why
TAKEN        wrong arguments of PyTorch's error database that mean something here: a part of PyTorch's text, and why
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

UNSUPPORTED: dict[str, dict[str, str]] = {
    "*": {r"expected (axis|dim|axis0) in \[0, 0\)": "array API: a 0-d tensor has no axis 0 and no axis -1; PyTorch takes both"},
    "cumsum": {r"x of at least 1 dimension": "array API: the cumulative sum of a 0-d tensor is left open; here it is an error"},
    "cumprod": {r"x of at least 1 dimension": "array API: the cumulative product of a 0-d tensor is left open; here it is an error"},
    "nonzero": {r"x of at least 1 dimension": "array API: nonzero of a 0-d tensor is an error"},
    "argwhere": {r"x of at least 1 dimension": "array API: nonzero of a 0-d tensor is an error"},
    "gather": {r"expected index of": "the index has as many dimensions as the input, also where it is empty or the input 0-d"},
    "searchsorted": {
        r"expected x1 of 1 dimension": "array API: searchsorted looks in one row",
        r"expected x2 to be a Tensor": "array API: searchsorted looks for tensors, not for a Python number",
    },
    "cat": {r"expected axis in": "an empty tensor of shape (0,) beside any other: PyTorch's exception, for old code"},
    "tensordot": {r"expected equal sizes": "array API: the sizes that are summed over are equal; PyTorch stretches a 1"},
    "nn.functional.avg_pool2d": {r"padding to be an int or 2 ints": "one int in a list, for two dimensions"},
    "nn.functional.batch_norm": {r"expected (running_mean|input)": "a tensor of one dimension has no channels"},
}  # fmt: skip


def _repeated(sample: Any) -> bool:
    """Whether two indices of max unpooling name the same place: which of the two elements stays, PyTorch leaves open."""
    indices = sample.args[0]
    planes = indices.flatten(-2) if sample.kwargs["output_size"] and len(sample.kwargs["output_size"]) == 4 else indices
    return any(len(row.unique()) != row.numel() for row in planes.flatten(0, -2))


def _random(sample: Any) -> bool:
    return bool(sample.kwargs.get("dropout_p") or sample.kwargs.get("training"))


_REPEATED = "indices that repeat: PyTorch gives the gradient to elements that were overwritten, too"
NOT_COMPARED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "nn.functional.max_unpool1d": (_repeated, _REPEATED),
    "nn.functional.max_unpool2d": (_repeated, _REPEATED),
    "nn.functional.rrelu": (_random, "random slopes"),
    "nn.functional.scaled_dot_product_attention": (_random, "random dropout"),
}

NO_GRADIENT = {
    "nn.functional.ctc_loss": "PyTorch's is right behind log_softmax alone; tests/test_losses.py holds ours, and both behind it",
    "nextafter": "PyTorch has none",
    "cfloat": "complex tensors are outside the graph here",
    "cdouble": "complex tensors are outside the graph here",
}

LOOSE = {"nn.functional.hardsigmoid": (1e-7, "PyTorch's slope is 1/6 in float32, also for float64")}

TAKEN: dict[str, dict[str, str]] = {
    "*": {r"^$": "a number where PyTorch's tests of its Python reference want a tensor: numbers are operands here"},
    "arange": {r"inconsistent with step sign": "array API: arange away from stop is empty"},
    "mean": {r"could not infer output dtype": "integers have a mean, in float32"},
    "nn.functional.max_pool1d": {r"Expected 2D or 3D": "[0, L] is no channel of length L: an empty result"},
    **dict.fromkeys(("narrow", "rot90", "t", "hstack"), {r".": "no function of ours: the adapter is made of several"}),
}

# Where section 5 of the design asks for another type than PyTorch's IndexError: an empty reduction is a matter of shapes.
OTHER_TYPE = {"amax": ValueError, "amin": ValueError, "max": ValueError, "min": ValueError}

# The same for the database of modules: errors of samples that we refuse, and wrong calls that mean something here.
MODULES: dict[str, dict[str, str]] = {}
MODULES_ABSENT = {
    "windows over three dimensions: convolution and pooling are 1-d and 2-d here": (
        "AdaptiveAvgPool3d", "AdaptiveMaxPool3d", "AvgPool3d", "Conv3d", "ConvTranspose3d", "FractionalMaxPool3d", "LPPool3d", "MaxPool3d",
        "ReflectionPad3d", "ReplicationPad3d", "ZeroPad3d", "CircularPad3d", "ConstantPad3d"),
    "they have no weights to move before their first call: tests/test_lazy.py": ("LazyConv1d", "LazyConv2d"),
    "no lazy form of these": ("LazyConv3d", "LazyConvTranspose1d", "LazyConvTranspose2d", "LazyConvTranspose3d"),
    "linear and cross_entropy, one after the other": ("LinearCrossEntropyLoss",),
}  # fmt: skip
MODULES_NO_GRADIENT = {"CTCLoss": NO_GRADIENT["nn.functional.ctc_loss"]}
MODULES_TAKEN: dict[str, dict[str, str]] = {
    "NLLLoss": {r"expected scalar type": "weights of another dtype: .to(dtype) converts them with the module"},
}
