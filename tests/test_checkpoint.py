"""Files that are replaced whole, whatever kills the writer, and checkpoints that load whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whitewolf as ww


def sample(path: Path) -> Path:
    ww.save({"a": ww.ones((2, 3))}, path)
    return path


def leftovers(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if "whitewolf-tmp" in p.name]


# ---- replacing files whole ----


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sample(tmp_path / "f")
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        ww.save({"a": ww.ones(3)}, path)
    assert path.read_bytes() == before and leftovers(tmp_path) == []


def test_file_and_folder_are_synced_and_in_that_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, os.replace

    def note_sync(handle: int) -> None:
        events.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def note_rename(a: Any, b: Any) -> None:
        events.append("rename")
        replace(a, b)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_rename)
    ww.save({}, tmp_path / "f")
    assert events == ["file", "rename", "folder"]


def test_a_symbolic_link_and_the_permissions_stay(tmp_path: Path) -> None:
    path = sample(tmp_path / "f")
    path.chmod(0o640)
    (tmp_path / "link").symlink_to(path)
    ww.save({"z": ww.ones(1)}, tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and list(ww.load(path)) == ["z"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_leftovers_of_the_dead_go_and_files_of_the_living_stay(tmp_path: Path) -> None:
    import fcntl

    names = (".f.0123456789abcdef", ".f.fedcba9876543210", ".g.0123456789abcdef", ".f.x")
    dead, living, other, strange = (tmp_path / f"{name}.whitewolf-tmp" for name in names)
    for path in (dead, living, other, strange):
        path.write_bytes(b"half")
    with open(living, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ww.save({}, tmp_path / "f")
    assert sorted(leftovers(tmp_path)) == sorted([living.name, other.name, strange.name])


def test_savers_of_one_file_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: ww.save({"i": np.full(1000, i)}, tmp_path / "f"), range(80)))
    assert len(set(ww.load(tmp_path / "f")["i"].tolist())) == 1 and leftovers(tmp_path) == []


SAVER = """
import sys, numpy as np, whitewolf as ww
path, i = sys.argv[1], 0
while True:
    i += 1
    ww.save_checkpoint(path, step=i, values={"x": np.full((400, 500), i), "y": np.full(7, i)})
    if i == 1:  # from here on it does nothing but save, however busy the machine is
        print("ready", flush=True)
"""


def test_a_kill_at_any_moment_leaves_the_old_or_the_new_file_whole(tmp_path: Path) -> None:
    path, seen = tmp_path / "c.safetensors", set()
    interrupted = 0
    for round in range(12):
        child = subprocess.Popen([sys.executable, "-c", SAVER, str(path)], stdout=subprocess.PIPE, env=environment())
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        time.sleep(0.02 + 0.013 * round)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        interrupted += bool(leftovers(tmp_path))
        if path.exists():
            found = ww.load_checkpoint(path)
            assert (found["values"]["x"].numpy() == found["step"]).all() and (found["values"]["y"].numpy() == found["step"]).all()
            seen.add(found["step"])
        assert len(leftovers(tmp_path)) <= 1  # the next save removes what the killed one left
    assert seen and interrupted, "no kill came in the middle of a save: the test shows nothing"
    ww.save({}, path)
    assert leftovers(tmp_path) == []


def environment() -> dict[str, str]:
    """This process's, with the package that it imports on the path."""
    return os.environ | {"PYTHONPATH": str(Path(ww.__file__).parent.parent), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


# ---- checkpoints ----


class Part:
    """The least that has a state."""

    def __init__(self, state: Any) -> None:
        self.state = state

    def state_dict(self) -> Any:
        return self.state

    def load_state_dict(self, state: Any) -> None:
        self.state = state


def model(scale: float = 1.0) -> Part:
    return Part({"0.weight": ww.full((2, 3), scale), "0.bias": ww.zeros(2)})


def optimizer(lr: float = 0.1, groups: int = 1) -> Part:
    state = {0: {"step": 4, "exp_avg": ww.ones((2, 3))}, 1: {"step": 4, "exp_avg": ww.ones(2)}}
    return Part({"state": state, "param_groups": [{"lr": lr, "betas": (0.9, 0.999), "params": [0, 1]}] * groups})


def test_a_checkpoint_comes_back_with_its_types(tmp_path: Path) -> None:
    extra = {
        "history": [1, 2.5, None, True, float("inf"), "ä"], "pair": (1, (2, "x")), "by_int": {1: "a", 2: {"t": ww.arange(3)}},
        "$odd": {"$tensor": 5}, "big": 2**100, "small": 5e-324, "loader": {"seed": 3, "epoch": 1},
    }  # fmt: skip
    ww.save_checkpoint(tmp_path / "c", model=model(3.0), optimizer=optimizer(0.25), step=17, extra=extra, best=np.float32(0.5))
    into_model, into_optimizer = model(), optimizer()
    found = ww.load_checkpoint(tmp_path / "c", into_model, into_optimizer)
    assert found["step"] == 17 and found["best"] == 0.5 and set(found) == {"step", "extra", "best"}
    t = found["extra"]["by_int"][2].pop("t")
    assert t.tolist() == [0, 1, 2]
    extra["by_int"][2].pop("t")  # type: ignore[index]
    assert found["extra"] == extra and type(found["extra"]["pair"]) is tuple and type(found["extra"]["history"][3]) is bool
    assert into_model.state["0.weight"].tolist() == [[3.0] * 3] * 2
    assert into_optimizer.state["param_groups"] == [{"lr": 0.25, "betas": (0.9, 0.999), "params": [0, 1]}]
    assert into_optimizer.state["state"][1]["step"] == 4 and into_optimizer.state["state"][0]["exp_avg"].shape == (2, 3)


def test_without_a_model_the_states_are_returned(tmp_path: Path) -> None:
    ww.save_checkpoint(tmp_path / "c", model=model(2.0), optimizer=optimizer(), step=1)
    found = ww.load_checkpoint(tmp_path / "c")
    assert list(found) == ["step", "model", "optimizer"] and found["model"]["0.weight"].tolist()[0] == [2.0] * 3
    tensors = {"model.0.weight", "model.0.bias", "optimizer.state.0.exp_avg", "optimizer.state.1.exp_avg"}
    assert set(ww.load(tmp_path / "c")) == tensors


def test_the_random_state_comes_back(tmp_path: Path) -> None:
    ww.manual_seed(5)
    ww.nn.init.normal_(ww.empty(10))
    ww.save_checkpoint(tmp_path / "c", step=0)
    expected = ww.nn.init.normal_(ww.empty(10)).tolist()
    ww.manual_seed(6)
    ww.load_checkpoint(tmp_path / "c")
    assert ww.nn.init.normal_(ww.empty(10)).tolist() == expected


@pytest.mark.parametrize(
    ("into", "error", "words"),
    [
        (Part({"0.weight": ww.zeros((2, 3))}), ValueError, "0.bias"),
        (Part({"0.weight": ww.zeros((2, 3)), "0.bias": ww.zeros(2), "1.bias": ww.zeros(2)}), ValueError, "1.bias"),
        (Part({"0.weight": ww.zeros((3, 2)), "0.bias": ww.zeros(2)}), ValueError, r"0.weight.*\(3, 2\).*\(2, 3\)"),
        (Part({"0.weight": ww.zeros((2, 3)), "0.bias": ww.zeros(2, dtype="float64")}), TypeError, "0.bias.*float64.*float32"),
    ],
    ids=["unexpected", "missing", "shape", "dtype"],
)
def test_another_model_is_refused_and_nothing_changes(tmp_path: Path, into: Part, error: type[Exception], words: str) -> None:
    ww.save_checkpoint(tmp_path / "c", model=model(2.0), optimizer=optimizer(0.5))
    opt, state, before = optimizer(0.1), into.state, ww.random.get_state()
    held = opt.state
    with pytest.raises(error, match=words) as caught:
        ww.load_checkpoint(tmp_path / "c", into, opt)
    assert str(tmp_path / "c") in str(caught.value)
    assert into.state is state and opt.state is held and ww.random.get_state() == before


def test_another_optimizer_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    ww.save_checkpoint(tmp_path / "c", model=model(2.0), optimizer=optimizer(groups=2))
    into, opt = model(), optimizer(groups=1)
    ww.manual_seed(99)
    state, held = into.state, opt.state
    with pytest.raises(ValueError, match=r"groups of \[2\] parameters, got groups of \[2, 2\]"):
        ww.load_checkpoint(tmp_path / "c", into, opt)
    assert into.state is state and opt.state is held and ww.random.get_state()["seed"] == 99


def test_what_a_checkpoint_lacks_is_named(tmp_path: Path) -> None:
    ww.save_checkpoint(tmp_path / "c", model=model())
    with pytest.raises(KeyError, match="optimizer"):
        ww.load_checkpoint(tmp_path / "c", model(), optimizer())
    ww.save({"x": ww.ones(1)}, tmp_path / "plain")
    with pytest.raises(ww.FileFormatError, match="plain.*expected a file of save_checkpoint"):
        ww.load_checkpoint(tmp_path / "plain")


@pytest.mark.parametrize("tree", [
    "[]", "{", "[" * 100_000, '{"step":1}', "7", '{"step":1,"extra":{"a":{"$tensor":"none"}},"random":0}',
    '{"step":1,"extra":{"a":{"$tensor":[]}},"random":0}', '{"step":1,"extra":{"$dict":[1]},"random":0}',
])  # fmt: skip
def test_hostile_checkpoint_json_is_refused(tmp_path: Path, tree: str) -> None:
    ww.save({"x": ww.ones(1)}, tmp_path / "c", metadata={"checkpoint": tree})
    with pytest.raises(ww.FileFormatError, match="JSON of save_checkpoint"):
        ww.load_checkpoint(tmp_path / "c")


def _junk(name: str, state: dict[str, Any]) -> None:
    group, entry = state["param_groups"][0], state["state"][0]
    changes: dict[str, Any] = {
        "lr text": lambda: group.update(lr="x"), "lr below 0": lambda: group.update(lr=-5.0), "no lr": lambda: group.pop("lr"),
        "betas": lambda: group.update(betas=3.0), "amsgrad": lambda: group.update(amsgrad="yes"),
        "params of text": lambda: group.update(params=["a", "b"]), "params twice": lambda: group.update(params=[0, 0]),
        "unknown state": lambda: entry.update(speed=1.0), "missing state": lambda: entry.pop("exp_avg"),
        "state of nobody": lambda: state["state"].update({7: {}}), "state of a number": lambda: entry.update(exp_avg=1.0),
        "step": lambda: entry.update(step="many"), "step below 0": lambda: entry.update(step=-1),
        "state no dict": lambda: state["state"].update({0: 3}),
    }  # fmt: skip
    changes[name]()


@pytest.mark.parametrize("name", [
    "lr text", "lr below 0", "no lr", "betas", "amsgrad", "params of text", "params twice", "unknown state", "missing state",
    "state of nobody", "state of a number", "step", "step below 0", "state no dict", "random",
])  # fmt: skip
def test_junk_in_an_optimizer_s_state_is_refused_and_nothing_changes(tmp_path: Path, name: str) -> None:
    net = ww.nn.Linear(2, 3)
    adam = ww.optim.Adam(net.parameters())
    net(ww.ones((1, 2))).sum().backward()
    adam.step()
    state = adam.state_dict()
    if name == "random":
        ww.save_checkpoint(tmp_path / "c", model=net, optimizer=adam)
        tensors, metadata = ww.io.safetensors.read(tmp_path / "c")
        tree = json.loads(metadata["checkpoint"])
        tree["random"] = {"seed": "?", "offset": 0}
        ww.save(tensors, tmp_path / "c", metadata={"checkpoint": json.dumps(tree)})
    else:
        _junk(name, state)
        part = Part({})
        part.state = state
        ww.save_checkpoint(tmp_path / "c", model=net, optimizer=part)
    other = ww.nn.Linear(2, 3)
    into = ww.optim.Adam(other.parameters(), lr=0.5)
    before, random = other.weight.tolist(), ww.random.get_state()
    with pytest.raises(ww.FileFormatError) as caught:
        ww.load_checkpoint(tmp_path / "c", other, into)
    assert str(tmp_path / "c") in str(caught.value) and "expected" in str(caught.value)
    assert other.weight.tolist() == before and not into.state and into.param_groups[0]["lr"] == 0.5
    assert ww.random.get_state() == random


def test_a_list_that_holds_itself_is_named(tmp_path: Path) -> None:
    loop: list[Any] = [1]
    loop.append({"again": loop})
    with pytest.raises(ValueError, match="save_checkpoint: expected extra.loop.1.again to be a value of its own"):
        ww.save_checkpoint(tmp_path / "c", loop=loop)
    deep: list[Any] = []
    for _ in range(2000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested at most 100 deep"):
        ww.save_checkpoint(tmp_path / "c", deep=deep)
    twice = [1]
    ww.save_checkpoint(tmp_path / "c", both=[twice, twice])
    assert ww.load_checkpoint(tmp_path / "c")["both"] == [[1], [1]]


def test_values_that_json_cannot_hold_are_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="extra.*best.*object"):
        ww.save_checkpoint(tmp_path / "c", best={"x": [object()]})
    with pytest.raises(TypeError, match="keys of extra.best"):
        ww.save_checkpoint(tmp_path / "c", best={(1, 2): 3})
    assert list(tmp_path.iterdir()) == []
