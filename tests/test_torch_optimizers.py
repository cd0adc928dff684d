"""PyTorch's own optimizer database drives the five optimizers we have: the same trajectories, and its wrong options raise."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import whitewolf as ww

torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
pytest.importorskip("expecttest", reason="PyTorch's databases need expecttest")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

from helpers.misuse import TYPED  # noqa: E402
from helpers.torch_database import ours  # noqa: E402
from torch.testing._internal.common_optimizers import optim_db  # noqa: E402

OPTIMIZERS = {info.optim_cls.__name__: info for info in optim_db if hasattr(ww.optim, info.optim_cls.__name__)}
SAMPLES = [(name, sample) for name, info in OPTIMIZERS.items() for sample in info.optim_inputs_func(device="cpu")]


def options(kwargs: dict[str, Any]) -> dict[str, Any]:
    """A learning rate in a tensor is a number here: there is no graph to capture."""
    return {k: v.item() if isinstance(v, torch.Tensor) and v.numel() == 1 else ours(v, []) for k, v in kwargs.items()}


def test_the_five_optimizers_are_there() -> None:
    assert {"SGD", "Adam", "AdamW", "RMSprop", "Adagrad"} <= set(OPTIMIZERS)


@pytest.mark.parametrize(("name", "sample"), SAMPLES, ids=[f"{name}-{sample.desc}" for name, sample in SAMPLES])
def test_trajectories_are_pytorch_s(name: str, sample: Any) -> None:
    """A small net on fixed data for 30 steps, in float64; one parameter has no gradient in every third step."""
    rng = np.random.default_rng(0)
    x, y, w, b = (rng.standard_normal(s) for s in ((16, 5), (16, 3), (5, 3), (3,)))
    theirs = [torch.tensor(a, requires_grad=True) for a in (w, b)]
    mine = [ww.tensor(a, requires_grad=True) for a in (w, b)]
    their_optimizer = OPTIMIZERS[name].optim_cls(theirs, **sample.kwargs)
    my_optimizer = getattr(ww.optim, name)(mine, **options(sample.kwargs))
    for step in range(30):
        ((torch.tanh(torch.from_numpy(x) @ theirs[0] + theirs[1]) - torch.from_numpy(y)) ** 2).mean().backward()
        ww.mean((ww.tanh(ww.asarray(x) @ mine[0] + mine[1]) - ww.asarray(y)) ** 2).backward()
        if step % 3 == 2:
            theirs[1].grad = None
            mine[1].grad = None
        for optimizer in (their_optimizer, my_optimizer):
            optimizer.step()
            optimizer.zero_grad()
        for p, q in zip(mine, theirs):
            scale = max(1.0, float(q.detach().abs().max()))
            np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=0, atol=1e-10 * scale, err_msg=f"step {step}")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_wrong_options_raise_typed_errors(name: str) -> None:
    torch.manual_seed(0)
    info = OPTIMIZERS[name]
    for case in info.optim_error_inputs_func(device="cpu", dtype=torch.float64):
        given, kwargs = case.optimizer_error_input.params, ours(dict(case.optimizer_error_input.kwargs), [])
        params = [ww.ones(2, requires_grad=True)] if given is None else ours(given, [])
        with pytest.raises(TYPED, match=name), warnings.catch_warnings():
            getattr(ww.optim, name)(params, **kwargs)


def test_the_scaler_follows_pytorch_s_over_finite_and_infinite_gradients() -> None:
    words: dict[str, Any] = {"init_scale": 64.0, "growth_factor": 3.0, "backoff_factor": 0.25, "growth_interval": 3}
    theirs, mine = torch.amp.GradScaler("cpu", **words), ww.amp.GradScaler("cpu", **words)
    p, q = torch.tensor([1.0, 2.0], requires_grad=True), ww.tensor([1.0, 2.0], requires_grad=True)
    their_optimizer, my_optimizer = torch.optim.SGD([p], lr=0.1, momentum=0.5), ww.optim.SGD([q], lr=0.1, momentum=0.5)
    for step, factor in enumerate([1, 1, np.inf, 1, 1, 1, 1, np.nan, np.inf, 1, 1, 1, 1, 1, 1, 1]):
        their_optimizer.zero_grad()
        my_optimizer.zero_grad()
        theirs.scale((p * p).sum() * factor).backward()
        mine.scale((q * q).sum() * float(factor)).backward()
        if step % 2:
            theirs.unscale_(their_optimizer)
            mine.unscale_(my_optimizer)
            np.testing.assert_array_equal(q.grad.numpy(), p.grad.numpy())
        theirs.step(their_optimizer)
        mine.step(my_optimizer)
        theirs.update()
        mine.update()
        assert mine.get_scale() == theirs.get_scale()
        np.testing.assert_allclose(q.numpy(), p.detach().numpy(), rtol=1e-6)
    assert mine.state_dict() == theirs.state_dict()
    restored = ww.amp.GradScaler()
    restored.load_state_dict(theirs.state_dict())
    assert restored.state_dict() == mine.state_dict()
