"""Activations, windows, edges, sizes and dropout against PyTorch's; second derivatives; what is random; errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from helpers.parity import check_layer, close, distinct, rng
from whitewolf import nn
from whitewolf.nn import functional as F

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")

LAYERS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "hardtanh": (lambda n: n.Hardtanh(-0.1, 0.2), (9, 9)),
    "relu6": (lambda n: n.ReLU6(), (50, 50)),
    "selu": (lambda n: n.SELU(), (9, 9)),
    "celu": (lambda n: n.CELU(0.5), (9, 9)),
    "mish": (lambda n: n.Mish(), (40, 40)),
    "hardswish": (lambda n: n.Hardswish(), (40, 40)),
    "hardsigmoid": (lambda n: n.Hardsigmoid(), (40, 40)),
    "glu": (lambda n: n.GLU(1), (3, 8, 2)),
    "glu last": (lambda n: n.GLU(), (3, 8)),
    "tanhshrink": (lambda n: n.Tanhshrink(), (9, 9)),
    "softshrink": (lambda n: n.Softshrink(0.2), (9, 9)),
    "hardshrink": (lambda n: n.Hardshrink(0.2), (9, 9)),
    "threshold": (lambda n: n.Threshold(0.1, -3.0), (9, 9)),
    "prelu": (lambda n: n.PReLU(), (3, 5)),
    "prelu of channels": (lambda n: n.PReLU(5, 0.1), (3, 5, 4)),
    "rrelu in use": (lambda n: n.RReLU(0.1, 0.4).eval(), (3, 5)),
    "channel_shuffle": (lambda n: n.ChannelShuffle(3), (2, 12, 3, 4)),
    "softsign": (lambda n: n.Softsign(), (9, 9)),
    "logsigmoid": (lambda n: n.LogSigmoid(), (40, 40)),
    "softmin": (lambda n: n.Softmin(1), (3, 5)),
    "softmax2d": (lambda n: n.Softmax2d(), (2, 5, 3, 4)),
    "adaptive_avg_pool1d": (lambda n: n.AdaptiveAvgPool1d(3), (2, 3, 8)),
    "adaptive_avg_pool1d of one": (lambda n: n.AdaptiveAvgPool1d(5), (3, 8)),
    "adaptive_max_pool1d": (lambda n: n.AdaptiveMaxPool1d(3), (2, 3, 8)),
    "adaptive_max_pool2d": (lambda n: n.AdaptiveMaxPool2d((3, 2)), (2, 3, 8, 7)),
    "adaptive_max_pool2d to one": (lambda n: n.AdaptiveMaxPool2d(1), (3, 8, 7)),
    "adaptive_max_pool2d keeping a size": (lambda n: n.AdaptiveMaxPool2d((None, 3)), (2, 3, 8, 7)),
    "lp_pool1d": (lambda n: n.LPPool1d(2, 3, 2), (2, 3, 11)),
    "lp_pool2d": (lambda n: n.LPPool2d(2.0, (3, 2), ceil_mode=True), (2, 3, 8, 7)),
    "unfold": (lambda n: n.Unfold((3, 2), (1, 2), (2, 1), (2, 1)), (2, 3, 6, 5)),
    "fold": (lambda n: n.Fold((6, 5), (3, 2), (1, 2), (2, 1), (2, 1)), (2, 18, 20)),
    "fold of one": (lambda n: n.Fold((3, 3), 2), (12, 4)),
    "pixel_shuffle": (lambda n: n.PixelShuffle(2), (2, 12, 3, 4)),
    "pixel_unshuffle": (lambda n: n.PixelUnshuffle(2), (2, 3, 6, 4)),
    "upsample": (lambda n: n.Upsample(scale_factor=2), (2, 3, 4, 5)),
    "upsample to a size": (lambda n: n.Upsample((7, 3)), (2, 3, 4, 5)),
    "upsample, linear": (lambda n: n.Upsample(size=9, mode="linear"), (2, 3, 4)),
    "upsample, bilinear": (lambda n: n.Upsample(scale_factor=(1.7, 2.3), mode="bilinear"), (2, 3, 4, 5)),
    "upsample, corners": (lambda n: n.Upsample(size=(9, 1), mode="bilinear", align_corners=True), (2, 3, 4, 5)),
    "downsample, bilinear": (lambda n: n.Upsample(size=(3, 2), mode="bilinear"), (2, 3, 7, 5)),
    "upsample, recomputed": (lambda n: n.Upsample(scale_factor=1.7, mode="bilinear", recompute_scale_factor=True), (2, 3, 4, 5)),
    "upsample, trilinear": (lambda n: n.Upsample(size=(3, 5, 4), mode="trilinear"), (1, 2, 2, 4, 3)),
    "upsample, nearest exact": (lambda n: n.Upsample(size=(7, 3), mode="nearest-exact"), (2, 3, 4, 5)),
    "upsample, volumes": (lambda n: n.Upsample(scale_factor=1.6), (1, 2, 2, 4, 3)),
    "upsample, area": (lambda n: n.Upsample(size=(3, 2), mode="area"), (2, 3, 7, 5)),
    "upsampling nearest": (lambda n: n.UpsamplingNearest2d(scale_factor=3), (2, 3, 4, 5)),
    "upsampling bilinear": (lambda n: n.UpsamplingBilinear2d(scale_factor=3), (2, 3, 4, 5)),
    "zero_pad1d": (lambda n: n.ZeroPad1d((1, -2)), (2, 3, 7)),
    "constant_pad1d": (lambda n: n.ConstantPad1d(2, 1.5), (2, 3, 7)),
    "reflection_pad1d": (lambda n: n.ReflectionPad1d((3, 1)), (2, 3, 7)),
    "replication_pad1d": (lambda n: n.ReplicationPad1d((3, 9)), (2, 3, 7)),
    "circular_pad1d": (lambda n: n.CircularPad1d((3, 7)), (2, 3, 7)),
    "dropout1d in use": (lambda n: n.Dropout1d(0.3).eval(), (2, 3, 4)),
    "alpha_dropout in use": (lambda n: n.AlphaDropout(0.3).eval(), (2, 3)),
    "conv_transpose1d": (lambda n: n.ConvTranspose1d(4, 6, 3, 2, 1, 1, 2, True, 2), (2, 4, 7)),
    "conv_transpose1d of one": (lambda n: n.ConvTranspose1d(3, 5, 4, 3, bias=False), (3, 7)),
    "conv_transpose2d, wide output_padding": (lambda n: n.ConvTranspose2d(4, 6, 3, (1, 2), (2, 1), (2, 2), 2, True, 3), (2, 4, 5, 4)),
    "conv_transpose1d, wide output_padding": (lambda n: n.ConvTranspose1d(3, 5, 2, 1, 0, 2, dilation=4), (2, 3, 6)),
    "batch_norm2d": (lambda n: n.BatchNorm2d(3), (4, 3, 5, 4)),
    "layer_norm": (lambda n: n.LayerNorm((5, 4)), (4, 3, 5, 4)),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_has_pytorch_s_words_state_output_and_gradients(name: str, dtype: str) -> None:
    if name == "hardsigmoid" and dtype == "float64":
        pytest.skip("PyTorch's 1 / 6 is a float32 in its float64 gradient")
    make, shape = LAYERS[name]
    check_layer(make, shape, dtype)


@pytest.mark.parametrize("name", [n for n in LAYERS if "norm" not in n])
def test_a_layer_is_differentiable_twice(name: str) -> None:
    make, shape = LAYERS[name]
    layer = make(nn).to("float64")
    x = ww.tensor(distinct(shape), requires_grad=True)
    assert ww.autograd.gradcheck(layer, (x,))
    assert ww.autograd.gradgradcheck(layer, (x,))


def test_bilinear() -> None:
    ours, theirs = nn.Bilinear(3, 4, 5, dtype="float64"), torch.nn.Bilinear(3, 4, 5, dtype=torch.float64)
    assert str(ours) == str(theirs) and list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict({k: torch.from_numpy(v.numpy().copy()) for k, v in ours.state_dict().items()})
    arrays = [rng.standard_normal((2, 6, n)) for n in (3, 4)]
    mine, other = [ww.tensor(a, requires_grad=True) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]
    a, b = ours(*mine), theirs(*other)
    close(a, b)
    direction = rng.standard_normal((2, 6, 5))
    a.backward(ww.asarray(direction))
    b.backward(torch.from_numpy(direction))
    for p, q in zip((*mine, *ours.parameters()), (*other, *theirs.parameters())):
        close(p.grad, q.grad, 256)


@pytest.mark.parametrize("shape", [(2, 3, 8, 7), (5, 8, 7), (2, 3, 9), (3, 9)])
@pytest.mark.parametrize("sized", [False, True])
def test_max_unpooling_undoes_max_pooling(shape: tuple[int, ...], sized: bool) -> None:
    two = 8 in shape
    shape = shape if sized else (*shape[:-1], 6)  # without a size, it is taken that nothing was left over
    x = distinct(shape)
    a, b = ww.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    pools = (F.max_pool2d, F.max_unpool2d) if two else (F.max_pool1d, F.max_unpool1d)
    theirs = (
        (torch.nn.functional.max_pool2d, torch.nn.functional.max_unpool2d)
        if two
        else (torch.nn.functional.max_pool1d, torch.nn.functional.max_unpool1d)
    )
    size = shape[-2:] if two else shape[-1:]
    more = {"output_size": size} if sized else {}
    ours, expected = (
        pools[1](*pools[0](a, 2, return_indices=True), 2, **more),
        theirs[1](*theirs[0](b, 2, return_indices=True), 2, **more),
    )
    close(ours, expected)
    direction = rng.standard_normal(tuple(expected.shape))
    ours.backward(ww.asarray(direction))
    expected.backward(torch.from_numpy(direction))
    close(a.grad, b.grad)
    make: Callable[[Any], Any] = (lambda n: n.MaxUnpool2d(2, padding=1)) if two else (lambda n: n.MaxUnpool1d(3, 2))
    assert str(make(nn)) == str(make(torch.nn))


def test_adaptive_max_pooling_returns_pytorch_s_indices() -> None:
    x = distinct((2, 3, 8, 7))
    x[0, 0] = -np.inf
    for size in ((3, 2), 5, (None, 1)):
        ours = F.adaptive_max_pool2d(ww.asarray(x), size, return_indices=True)
        theirs = torch.nn.functional.adaptive_max_pool2d(torch.from_numpy(x), size, return_indices=True)
        assert np.array_equal(ours[0].numpy(), theirs[0].numpy())
        assert np.array_equal(ours[1].numpy()[1:], theirs[1].numpy()[1:])
    ours = F.adaptive_max_pool1d(ww.asarray(x[0, 1]), 3, return_indices=True)
    theirs = torch.nn.functional.adaptive_max_pool1d(torch.from_numpy(x[0, 1]), 3, return_indices=True)
    assert np.array_equal(ours[1].numpy(), theirs[1].numpy())


@pytest.mark.parametrize("sizes", [(4, 9), (9, 4), (7, 7), (5, 13), (1, 6), (6, 1), (100, 37), (37, 100)])
@pytest.mark.parametrize(
    ("mode", "corners"),
    [("nearest", None), ("nearest-exact", None), ("area", None), ("linear", None), ("linear", True), ("linear", False)],
)
def test_interpolation_to_many_sizes(sizes: tuple[int, int], mode: str, corners: bool | None) -> None:
    x = rng.standard_normal((1, 2, sizes[0]))
    ours = F.interpolate(ww.asarray(x), sizes[1], mode=mode, align_corners=corners)
    close(ours, torch.nn.functional.interpolate(torch.from_numpy(x), sizes[1], mode=mode, align_corners=corners))


def test_activations_carry_nan_and_do_not_overflow() -> None:
    x = ww.asarray([np.nan, -1000.0, 1000.0, np.inf], dtype="float64")
    for f in (
        F.hardtanh, F.relu6, F.selu, F.celu, F.mish, F.hardswish, F.hardsigmoid, F.tanhshrink, F.softshrink, F.hardshrink,
        F.logsigmoid, F.softsign, lambda t: F.threshold(t, 0.1, 2.0), lambda t: F.prelu(t, ww.asarray([0.5], dtype="float64")),
    ):  # fmt: skip
        y = f(x).numpy()
        assert np.isnan(y[0]) and np.isfinite(y[1:3]).all()


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    ww.manual_seed(0)
    x = ww.asarray(rng.standard_normal((1000, 300)).astype("float32"))
    for p in (0.1, 0.5):
        y = nn.AlphaDropout(p)(x).numpy()
        assert abs(y.mean()) < 0.01 and abs(y.std() - 1) < 0.01
        limit, a = -1.7580993408473766, ((1 - p) * (1 + p * 1.7580993408473766**2)) ** -0.5
        dropped = np.isclose(y, a * limit * (1 - p), atol=1e-5)
        assert abs(dropped.mean() - p) < 0.01
    channels = nn.FeatureAlphaDropout(0.5)(ww.ones((40, 30, 5))).numpy()
    assert (channels == channels[:, :, :1]).all() and len(np.unique(channels)) == 2


def test_dropout1d_drops_whole_channels() -> None:
    ww.manual_seed(0)
    y = nn.Dropout1d(0.5)(ww.ones((50, 40, 7))).numpy()
    assert set(np.unique(y.sum(-1))) == {0.0, 14.0}
    assert nn.Dropout3d(0.5)(ww.ones((4, 5, 2, 2, 2))).shape == (4, 5, 2, 2, 2)


def test_wrong_arguments_are_named() -> None:
    x = ww.zeros((1, 3, 4, 5))
    for call, error, words in (
        (lambda: F.hardtanh(x, 1, 0), ValueError, "hardtanh: expected min_val <= max_val, got 1 and 0"),
        (lambda: F.glu(x), ValueError, "glu: expected an even size along dim -1"),
        (lambda: F.prelu(x, ww.ones(2)), ValueError, r"prelu: expected weight.shape == \(1,\) or \(3,\)"),
        (lambda: F.interpolate(x), ValueError, "interpolate: expected either size or scale_factor, got None and None"),
        (lambda: F.interpolate(x, 4, mode="linear"), ValueError, "interpolate: expected input of 3 dimensions in mode 'linear'"),
        (lambda: F.interpolate(x, 4, mode="cubic"), ValueError, "interpolate: expected mode to be one of nearest"),
        (lambda: F.interpolate(x, 0), ValueError, "interpolate: expected size > 0"),
        (lambda: F.pixel_shuffle(x, 2), ValueError, r"pixel_shuffle: expected input \[..., C \* 2\^2, H, W\]"),
        (lambda: F.unfold(x, 7), ValueError, "unfold: expected windows that fit"),
        (lambda: F.fold(ww.zeros((1, 5, 4)), 3, 2), ValueError, r"fold: expected input \[N, C \* 4, 4\]"),
        (lambda: F.adaptive_max_pool2d(x, 0), ValueError, "adaptive_max_pool2d: expected output_size >= 1"),
        (lambda: F.bilinear(x, x, ww.zeros((2, 5, 4))), ValueError, r"bilinear: expected input1 \[..., I\]"),
        (lambda: F.alpha_dropout(x, 2.0), ValueError, r"alpha_dropout: expected p in \[0, 1\], got 2.0"),
        (lambda: F.max_unpool2d(x, ww.full(x.shape, 80), 2), IndexError, r"max_unpool2d: expected indices in \[0, 80\).*got 80 to 80"),
        (
            lambda: F.conv_transpose1d(ww.zeros((1, 2, 3)), ww.zeros((2, 1, 3)), output_padding=1), ValueError,
            r"conv_transpose1d: expected output_padding\[0\] in .* \[0, 1\), got 1",
        ),
    ):  # fmt: skip
        with pytest.raises(error, match=words):
            call()
