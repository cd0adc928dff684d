"""Optimizers and schedules: PyTorch's trajectories, state, and a step that cannot be cut in half."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import whitewolf as ww

ALGORITHMS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "betas": (0.8, 0.9), "weight_decay": 0.1, "amsgrad": True}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01}),
    ("RMSprop", {"lr": 0.01, "momentum": 0.9, "centered": True, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.2, "weight_decay": 0.01}),
]
SHAPES = [(3, 5), (7,), (), (2, 3, 4, 4), (0, 3)]


def parameters(seed=0, dtype="f8"):
    rng = np.random.default_rng(seed)
    return [ww.tensor(rng.standard_normal(s).astype(dtype), requires_grad=True) for s in SHAPES]


def give_grads(params, seed, skip=()):
    rng = np.random.default_rng(seed)
    for i, p in enumerate(params):
        g = rng.standard_normal(p.shape).astype(p.numpy().dtype)
        p.grad = None if i in skip else ww.asarray(g)


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize(("name", "options"), ALGORITHMS, ids=str)
def test_trajectories_are_pytorchs(name, options, dtype):
    torch = pytest.importorskip("torch")
    ours = parameters(dtype=dtype)
    theirs = [torch.tensor(p.numpy().copy(), requires_grad=True) for p in ours]
    a, b = getattr(ww.optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    for step in range(12):
        # One parameter has no gradient for a while, and so falls behind in its step count.
        give_grads(ours, step, skip=(1,) if step < 3 else ())
        for p, q in zip(ours, theirs):
            q.grad = None if p.grad is None else torch.tensor(p.grad.numpy().copy())
        a.step()
        b.step()
    for p, q in zip(ours, theirs):
        np.testing.assert_allclose(
            p.numpy(), q.detach().numpy(), rtol=1e-12 if dtype == "f8" else 1e-5, atol=1e-12 if dtype == "f8" else 1e-6
        )


def _grid(name, **choices):
    return [(name, dict(zip(choices, values))) for values in itertools.product(*choices.values())]


EVERY_OPTION = [
    *_grid("SGD", lr=[0.05], momentum=[0.9], nesterov=[False, True], weight_decay=[0, 0.1], maximize=[False, True]),
    *_grid("SGD", lr=[0.05], momentum=[0, 0.9], dampening=[0.3], weight_decay=[0, 0.1], maximize=[False, True]),
    *_grid("Adam", lr=[0.01], betas=[(0.3, 0.6)], weight_decay=[0, 0.1], amsgrad=[False, True], maximize=[False, True]),
    *_grid("AdamW", lr=[0.01], weight_decay=[0, 0.1], amsgrad=[False, True], maximize=[False, True]),
    *_grid("RMSprop", lr=[0.01], alpha=[0.9], momentum=[0, 0.9], centered=[False, True], weight_decay=[0, 0.1],
           maximize=[False, True]),
    *_grid("Adagrad", lr=[0.1], lr_decay=[0, 0.1], initial_accumulator_value=[0, 0.2], weight_decay=[0, 0.1],
           maximize=[False, True]),
]  # fmt: skip


@pytest.mark.torch
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_trajectories_are_pytorchs_with_every_option(name):
    torch = pytest.importorskip("torch")
    for which, options in EVERY_OPTION:
        if which != name:
            continue
        ours = parameters()
        theirs = [torch.tensor(p.numpy().copy(), requires_grad=True) for p in ours]
        a, b = getattr(ww.optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
        for step in range(25):
            give_grads(ours, step, skip=(step % 5,))
            for p, q in zip(ours, theirs):
                q.grad = None if p.grad is None else torch.tensor(p.grad.numpy().copy())
            a.step()
            b.step()
        for p, q in zip(ours, theirs):
            np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-12, atol=1e-12, err_msg=str(options))


@pytest.mark.parametrize(("name", "options"), ALGORITHMS, ids=str)
def test_state_goes_on_where_it_stopped(name, options):
    whole, halves = parameters(), parameters()
    a, b = getattr(ww.optim, name)(whole, **options), getattr(ww.optim, name)(halves, **options)
    for step in range(6):
        if step == 3:
            state, b = b.state_dict(), getattr(ww.optim, name)(halves, lr=99.0)
            b.load_state_dict(state)
        for params, optimizer in ((whole, a), (halves, b)):
            give_grads(params, step)
            optimizer.step()
    for p, q in zip(whole, halves):
        assert p.numpy().tobytes() == q.numpy().tobytes()


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_state_from_before_decoupled_weight_decay_goes_on(name):
    whole, halves = parameters(), parameters()
    a, b = getattr(ww.optim, name)(whole, weight_decay=0.1), getattr(ww.optim, name)(halves, weight_decay=0.1)
    for step in range(4):
        if step == 2:
            state = b.state_dict()
            groups = [{k: v for k, v in g.items() if k != "decoupled_weight_decay"} for g in state["param_groups"]]
            b.load_state_dict(state | {"param_groups": groups})
        for params, optimizer in ((whole, a), (halves, b)):
            give_grads(params, step)
            optimizer.step()
    assert b.param_groups[0]["decoupled_weight_decay"] == (name == "AdamW")
    for p, q in zip(whole, halves):
        assert p.numpy().tobytes() == q.numpy().tobytes()
    groups = [{k: v for k, v in g.items() if k != "eps"} for g in state["param_groups"]]
    with pytest.raises(ValueError, match=rf"{name}: expected param_groups\[0\] with .*, got none of eps"):
        b.load_state_dict(state | {"param_groups": groups})


@pytest.mark.parametrize(("name", "options"), ALGORITHMS, ids=str)
def test_any_strides_give_the_same_numbers(name, options):
    base = np.random.default_rng(3).standard_normal((6, 10))
    plain = ww.tensor(base[::2, ::-1].copy(), requires_grad=True)
    strided = ww.asarray(base.copy())[::2].detach()
    strided = ww.flip(strided, axis=1).detach().requires_grad_()
    for p in (plain, strided):
        optimizer = getattr(ww.optim, name)([p], **options)
        for step in range(3):
            give_grads([p], step)
            optimizer.step()
    np.testing.assert_allclose(plain.numpy(), strided.numpy(), rtol=1e-14, atol=1e-15)


def test_a_step_makes_what_was_saved_stale():
    x = ww.ones(3, requires_grad=True)
    loss = (x * x).sum()
    x.grad = ww.ones(3)
    ww.optim.SGD([x], lr=0.1).step()
    with pytest.raises(ww.StaleTensorError, match="multiply"):
        loss.backward()


def test_groups_have_options_of_their_own():
    x, y = ww.ones(1, requires_grad=True), ww.ones(1, requires_grad=True)
    optimizer = ww.optim.SGD([{"params": [x], "lr": 1.0}, {"params": y}], lr=0.5)
    x.grad, y.grad = ww.ones(1), ww.ones(1)
    optimizer.step()
    assert (x.item(), y.item()) == (0.0, 0.5)
    optimizer.zero_grad(set_to_none=False)
    assert x.grad.item() == 0
    optimizer.zero_grad()
    assert x.grad is None


def test_closure_is_run_with_grad():
    x = ww.tensor([2.0], requires_grad=True)
    optimizer = ww.optim.SGD([x], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (x * x).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 4.0 and x.item() == 1.0


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda x: ww.optim.SGD([x], lr=-1), ValueError, ("SGD", "lr >= 0", "-1")),
        (lambda x: ww.optim.SGD([x], lr="a"), TypeError, ("SGD", "lr to be a real number", "'a'")),
        (lambda x: ww.optim.SGD([x], dampening="a"), TypeError, ("SGD", "dampening", "number", "'a'")),
        (lambda x: ww.optim.Adam([x], betas=0.9), TypeError, ("Adam", "betas", "two numbers", "0.9")),
        (lambda x: ww.optim.Adam([x], amsgrad="no"), TypeError, ("Adam", "amsgrad", "True or False", "'no'")),
        (lambda x: ww.optim.SGD([{"params": [x], "nesterov": True}]), ValueError, ("SGD", "momentum > 0")),
        (lambda x: ww.optim.SGD([x], nesterov=True), ValueError, ("SGD", "momentum > 0")),
        (lambda x: ww.optim.Adam([x], betas=(0.9, 1.0)), ValueError, ("Adam", "betas", "1.0")),
        (lambda x: ww.optim.Adam([]), ValueError, ("Adam", "at least one parameter")),
        (lambda x: ww.optim.Adam(x), TypeError, ("Adam", "iterable")),
        (lambda x: ww.optim.Adam([x, x]), ValueError, ("Adam", "each parameter once", "params[1]")),
        (lambda x: ww.optim.Adam([x * 2]), ValueError, ("Adam", "leaf")),
        (lambda x: ww.optim.Adam([1.0]), TypeError, ("Adam", "params[0]", "float")),
        (lambda x: ww.optim.SGD([x]).load_state_dict({"state": {}, "param_groups": []}), ValueError, ("SGD", "groups of [1]")),
        (lambda x: ww.optim.lr_scheduler.StepLR(3, 1), TypeError, ("StepLR", "optimizer to be an Optimizer", "got 3")),
    ],
)
def test_nonsense_is_refused(make, error, words):
    with pytest.raises(error) as raised:
        make(ww.ones(3, requires_grad=True))
    for word in words:
        assert word in str(raised.value)


@pytest.mark.torch
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("StepLR", {"step_size": 3, "gamma": 0.5}),
        ("MultiStepLR", {"milestones": [2, 5, 5, 9]}),
        ("ExponentialLR", {"gamma": 0.9}),
        ("CosineAnnealingLR", {"T_max": 12, "eta_min": 0.01}),
        ("LinearLR", {"start_factor": 0.2, "total_iters": 6}),
        ("ConstantLR", {"factor": 0.3, "total_iters": 4}),
        ("PolynomialLR", {"total_iters": 8, "power": 2.0}),
        ("LambdaLR", {"lr_lambda": lambda t: 1 / (1 + t)}),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 14}),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 14, "anneal_strategy": "linear", "pct_start": 0.5}),
        ("OneCycleLR", {"max_lr": [1.0], "epochs": 7, "steps_per_epoch": 2, "three_phase": True, "base_momentum": 0.5}),
        ("OneCycleLR", {"max_lr": 0.5, "total_steps": 13, "cycle_momentum": False, "div_factor": 3.0}),
        ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.6, "step_size_up": 3}),
        ("CyclicLR", {"base_lr": [0.1], "max_lr": 0.6, "step_size_up": 2, "step_size_down": 3, "mode": "triangular2"}),
        (
            "CyclicLR",
            {"base_lr": 0.1, "max_lr": 0.6, "step_size_up": 3, "mode": "exp_range", "gamma": 0.9, "cycle_momentum": False},
        ),
        ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.05}),
        ("CosineAnnealingWarmRestarts", {"T_0": 5}),
        ("MultiplicativeLR", {"lr_lambda": lambda t: 1 - 1 / (2 + t)}),
    ],
    ids=str,
)
def test_schedules_are_pytorchs(name, options):
    torch = pytest.importorskip("torch")
    a = ww.optim.SGD([ww.ones(1, requires_grad=True)], lr=0.4, momentum=0.9)
    b = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=0.4, momentum=0.9)
    s, t = getattr(ww.optim.lr_scheduler, name)(a, **options), getattr(torch.optim.lr_scheduler, name)(b, **options)
    for _ in range(12):
        np.testing.assert_allclose(s.get_last_lr(), t.get_last_lr(), rtol=1e-12)
        np.testing.assert_allclose(a.param_groups[0]["momentum"], b.param_groups[0]["momentum"], rtol=1e-12)
        a.step()
        b.step()
        s.step()
        t.step()


@pytest.mark.torch
@pytest.mark.parametrize("milestones", [[3], [2, 7], [1, 2]])
def test_schedules_after_each_other_are_pytorchs_and_go_on_where_they_stopped(milestones):
    torch = pytest.importorskip("torch")

    def schedule(n, x):
        optimizer = n.optim.SGD([x], lr=0.4)
        kinds = n.optim.lr_scheduler
        parts = [kinds.LinearLR(optimizer, 0.1, total_iters=3), kinds.ExponentialLR(optimizer, 0.8), kinds.StepLR(optimizer, 2)]
        return optimizer, kinds.SequentialLR(optimizer, parts[: len(milestones) + 1], milestones)

    a, s = schedule(ww, ww.ones(1, requires_grad=True))
    b, t = schedule(torch, torch.ones(1, requires_grad=True))
    for i in range(12):
        np.testing.assert_allclose(s.get_last_lr(), [b.param_groups[0]["lr"]], rtol=1e-12)
        b.step()
        t.step()
        s.step()
        if i == 5:
            state = s.state_dict()
            a, s = schedule(ww, ww.ones(1, requires_grad=True))
            s.load_state_dict(state)


def test_restarts_take_a_place_between_two_steps():
    schedule = ww.optim.lr_scheduler.CosineAnnealingWarmRestarts(ww.optim.SGD([ww.ones(1, requires_grad=True)], lr=1.0), T_0=4)
    schedule.step(6.0)
    assert schedule.get_last_lr() == [pytest.approx(0.5)] and schedule.last_epoch == 6
    schedule.step(4.5)
    assert schedule.get_last_lr() == [pytest.approx(0.9619397662556434)]


@pytest.mark.torch
def test_plateau_is_pytorchs():
    torch = pytest.importorskip("torch")
    a = ww.optim.SGD([ww.ones(1, requires_grad=True)], lr=0.4)
    b = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=0.4)
    for mode in ("min", "max"):
        s = ww.optim.lr_scheduler.ReduceLROnPlateau(a, mode, patience=2, cooldown=1)
        t = torch.optim.lr_scheduler.ReduceLROnPlateau(b, mode, patience=2, cooldown=1)
        for metric in [1.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.95, 1.1, 1.2, 1.2, 1.2, 1.2, 1.2, 1.2]:
            s.step(metric)
            t.step(metric)
            np.testing.assert_allclose(a.param_groups[0]["lr"], b.param_groups[0]["lr"], rtol=1e-12)


def test_ctrl_c_leaves_no_half_applied_step():
    code = """
        import os, signal, threading, time, sys
        import numpy as np, whitewolf as ww
        xs = [ww.zeros(50000, requires_grad=True) for _ in range(4)] + [ww.zeros(50000, dtype=ww.float64, requires_grad=True)]
        for x in xs: x.grad = ww.ones(x.shape, dtype=x.dtype)
        optimizer = ww.optim.SGD([{"params": [x]} for x in xs], lr=1.0)
        threading.Timer(float(sys.argv[1]), lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        try:
            while True: optimizer.step()
        except KeyboardInterrupt:
            counts = {float(v) for x in xs for v in (x.numpy()[0], x.numpy()[-1])}
            print(len(counts), signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    """
    for delay in ("0.2", "0.2513", "0.3031"):
        child = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), delay], capture_output=True, text=True, timeout=60, env=os.environ
        )
        assert child.stdout.split() == ["1", "True"], child.stdout + child.stderr
    assert signal.getsignal(signal.SIGINT) is not None


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("RMSprop", {}, {"momentum": 0.9}),
        ("RMSprop", {}, {"centered": True}),
        ("Adam", {}, {"amsgrad": True}),
        ("AdamW", {}, {"amsgrad": True}),
        ("SGD", {}, {"momentum": 0.9}),
    ],
)
def test_an_option_set_after_some_steps_begins_with_its_state_of_step_0(name, before, after):
    x = ww.asarray(np.array([1.0, -2.0])).requires_grad_()
    optimizer = getattr(ww.optim, name)([x], lr=0.1, **before)
    for step in range(3):
        if step == 2:
            steps = optimizer.state.get(x, {}).get("step")
            optimizer.param_groups[0].update(after)
        x.grad = ww.asarray(np.array([0.5, 0.25]))
        optimizer.step()
    assert np.isfinite(x.numpy()).all()
    assert optimizer.state[x].get("step") == (None if steps is None else steps + 1)


@pytest.mark.parametrize("wrong", ["memory", "dtype"])
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_a_step_that_fails_changes_nothing(name: str, wrong: str) -> None:
    fine = ww.ones(2, requires_grad=True)
    other = ww.asarray(np.broadcast_to(np.float64(1), (2,)) if wrong == "memory" else np.ones(2)).requires_grad_()
    optimizer = getattr(ww.optim, name)([{"params": [fine]}, {"params": [other]}], lr=0.1)
    fine.grad, other._grad = ww.ones(2), ww.ones(2, dtype="float64" if wrong == "memory" else "float32")
    state = {k: v["step"] for k, v in optimizer.state.items()}
    error, words = (ValueError, r"params\[1\] to be writable") if wrong == "memory" else (TypeError, "grad of dtype float64")
    with pytest.raises(error, match=f"{name}: expected {words}"):
        optimizer.step()
    assert fine.tolist() == [1, 1] and {k: v["step"] for k, v in optimizer.state.items()} == state
