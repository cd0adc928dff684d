"""Workers of a loader that fail, die, or are left: an error within a second, never a hang, and nobody stays behind."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from helpers.loading import KINDS, Squares, workers_left
from whitewolf.data import DataLoader, TensorDataset


@pytest.fixture(autouse=True)
def no_worker_stays_behind() -> Iterator[None]:
    yield
    assert workers_left() == []


def refuse_five(index: int) -> None:
    if index == 5:
        raise OSError(f"sample {index} is unreadable")


def exit_at_five(index: int) -> None:
    if index == 5:
        sys.exit(3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("hurdle", "words"), [(refuse_five, "OSError: sample 5 is unreadable"), (exit_at_five, "SystemExit: 3")])
def test_an_exception_in_a_worker_comes_with_its_traceback_after_the_batches_before_it(kind: str, hurdle: Any, words: str) -> None:
    seen = []
    started = time.monotonic()
    with pytest.raises(RuntimeError, match=words) as caught:
        for _, indices in DataLoader(Squares(100, hurdle), 2, num_workers=2, workers=kind):
            seen.extend(indices.tolist())
    assert time.monotonic() - started < 5 and seen == [0, 1, 2, 3]
    assert "batch 2" in str(caught.value) and hurdle.__name__ in str(caught.value) and "Traceback" in str(caught.value)


def test_without_workers_an_exception_comes_as_it_is() -> None:
    with pytest.raises(OSError, match="sample 5"):
        list(DataLoader(Squares(100, refuse_five), 2))


def test_what_cannot_be_sent_from_a_process_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="pickle"):
        list(DataLoader([0], num_workers=1, workers="processes", collate_fn=lambda samples: threading.Lock()))


@pytest.mark.parametrize("how", ["kill", "exit", "abort"])
def test_a_dead_process_is_an_error_within_a_second(how: str) -> None:
    def die(index: int) -> None:
        if index == 6:
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            elif how == "exit":
                os._exit(7)
            faulthandler.disable()  # pytest's would print a page
            os.abort()

    loader = iter(DataLoader(Squares(1000, die), 2, num_workers=3, workers="processes"))
    next(loader)
    started = time.monotonic()
    with pytest.raises(RuntimeError, match={"kill": "by SIGKILL", "exit": "exit code 7", "abort": "by SIGABRT"}[how]) as caught:
        for _ in loader:
            pass
    assert time.monotonic() - started < 1 and "worker process" in str(caught.value)


def test_a_process_killed_from_outside_while_others_are_slow_is_an_error_within_a_second() -> None:
    loader = iter(DataLoader(Squares(1000, lambda i: time.sleep(30) if i >= 2 else None), 1, num_workers=2, workers="processes"))
    next(loader), next(loader)
    victim = multiprocessing.active_children()[0]
    started = time.monotonic()
    threading.Timer(0.2, lambda: os.kill(victim.pid or 0, signal.SIGKILL)).start()
    with pytest.raises(RuntimeError, match="died by SIGKILL"):
        next(loader)
    assert time.monotonic() - started < 1.2


def test_a_dead_thread_is_an_error_within_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that ends without a word, as none of ours does."""
    from whitewolf.data import workers

    monkeypatch.setattr(workers, "_work", lambda job, todo, done, stop: None)
    started = time.monotonic()
    with pytest.raises(RuntimeError, match="all worker threads are dead"):
        list(DataLoader(Squares(10), num_workers=2))
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("kind", KINDS)
def test_leaving_early_leaves_no_worker(kind: str) -> None:
    for _ in DataLoader(Squares(1000, lambda i: time.sleep(0.001)), 2, num_workers=3, workers=kind):
        break
    iterator = iter(DataLoader(Squares(1000), 2, num_workers=3, workers=kind))
    next(iterator)
    del iterator
    assert workers_left() == []


def test_leaving_early_waits_for_one_batch_and_not_for_all_that_were_ordered() -> None:
    started = time.monotonic()
    for _ in DataLoader(Squares(1000, lambda i: time.sleep(0.05)), 1, num_workers=1, prefetch=100):
        break
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_in_the_loop_leaves_no_worker(kind: str) -> None:
    with pytest.raises(ZeroDivisionError):
        for _ in DataLoader(Squares(1000), 2, num_workers=2, workers=kind):
            1 / 0  # noqa: B018


def test_workers_go_ahead_by_prefetch_and_no_further() -> None:
    made: list[int] = []
    iterator = iter(DataLoader(Squares(100, made.append), 1, num_workers=2, prefetch=3))
    next(iterator)
    time.sleep(0.3)
    assert 5 <= len(made) <= 7
    iterator.close()  # type: ignore[attr-defined]


def test_batches_larger_than_a_pipe_do_not_block() -> None:
    data = TensorDataset(np.arange(3_000_000, dtype="f8").reshape(30, -1))
    loader = DataLoader(data, 5, num_workers=2, prefetch=3, workers="processes")
    assert [x[0, 0].item() for (x,) in loader] == [i * 500_000.0 for i in range(6)]


def test_worker_processes_draw_different_numbers() -> None:
    class Noise(Squares):
        def __getitem__(self, index: int) -> Any:
            return np.random.random()

    values = [x.item() for x in DataLoader(Noise(8), 1, num_workers=4, workers="processes", seed=0)]
    assert len(set(values)) == 8


ORPHANS = """
import os, sys, time, numpy as np
from whitewolf.data import DataLoader
class Slow(list):
    def __getitem__(self, i):
        os.write(1, b"%d\\n" % os.getpid())  # one write: lines of two processes must not mix
        return i
for _ in DataLoader(Slow(range(10**6)), num_workers=2, workers="processes"):
    time.sleep(0.03)  # so that the workers wait for their orders, where a signal would find them
"""


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_worker_processes_die_with_their_parent(how: signal.Signals) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(ww.__file__).parent.parent)}
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, start_new_session=True
    )
    assert parent.stdout is not None and parent.stderr is not None
    pids = {int(parent.stdout.readline()) for _ in range(20)}
    assert len(pids) == 2
    if how == signal.SIGINT:  # as Ctrl-C: to the whole group
        os.killpg(parent.pid, how)
    else:
        parent.send_signal(how)
    parent.wait(timeout=10)
    parent.stdout.close()
    words = parent.stderr.read().decode()
    parent.stderr.close()
    assert how == signal.SIGKILL or words.rstrip().endswith("KeyboardInterrupt") and "whitewolf-data" not in words, words
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline and any(alive(pid) for pid in pids):
        time.sleep(0.02)
    assert not any(alive(pid) for pid in pids)


PATIENT = """
import os, signal, time
from whitewolf.data import DataLoader
seen, asked = 0, []
for _ in DataLoader(list(range(60)), num_workers=2, workers="processes"):
    if not seen:
        signal.signal(signal.SIGINT, lambda *a: asked.append(1))
        os.killpg(0, signal.SIGINT)
        time.sleep(0.2)
    seen += 1
print(seen, len(asked))
"""


LATE = """
import time
from whitewolf.data import workers
serve = workers._serve
def late(pipe, inherited, job, worker):
    time.sleep(0.3 * worker)
    serve(pipe, inherited, job, worker)
workers._serve = late
"""


@pytest.mark.parametrize("script", [PATIENT, LATE + PATIENT], ids=["while they work", "before the second has begun"])
def test_ctrl_c_is_for_the_caller_and_not_for_its_workers(script: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(ww.__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, start_new_session=True)
    assert done.stdout == "60 1\n" and done.stderr == "", done.stderr


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"batch_size": 0}, ValueError, "batch_size >= 1, got 0"),
        ({"batch_size": 2.0}, TypeError, "batch_size"),
        ({"num_workers": -1}, ValueError, "num_workers >= 0"),
        ({"prefetch": 0}, ValueError, "prefetch >= 1"),
        ({"workers": "green"}, ValueError, "'green'"),
        ({"seed": -1}, ValueError, "seed"),
        ({"device": "tpu"}, ww.DeviceError, "tpu"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        DataLoader([1, 2], **arguments)
    with pytest.raises(TypeError, match="dataset"):
        DataLoader(5)
