"""The runtime under the kernels: threads, fork, memory, poison, instruction sets."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import whitewolf as ww


def run_child(code: str, timeout: float = 60, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=timeout, env=os.environ | env
    )


@pytest.fixture
def threads():
    before = ww.get_num_threads()
    yield ww.set_num_threads
    ww.set_num_threads(before)


def test_set_num_threads_changes_no_bits(threads):
    rng = np.random.default_rng(0)
    x, w = ww.asarray(rng.standard_normal((300, 257)).astype("f4")), ww.asarray(rng.standard_normal((257, 190)).astype("f4"))
    results = []
    for n in (1, 2, 3, 7):
        threads(n)
        assert ww.get_num_threads() == n
        results.append((x @ w).numpy().tobytes())
    assert len(set(results)) == 1


@pytest.mark.parametrize(("n", "error"), [(0, ValueError), (-3, ValueError), (2.0, TypeError), (True, TypeError)])
def test_set_num_threads_refuses_nonsense(n, error):
    with pytest.raises(error, match="set_num_threads: expected n"):
        ww.set_num_threads(n)


def test_threads_come_from_the_environment():
    child = run_child("import whitewolf as ww; print(ww.get_num_threads())", WHITEWOLF_THREADS="3")
    assert child.stdout.strip() == "3", child.stderr


def test_a_bad_thread_count_in_the_environment_is_named():
    child = run_child("import whitewolf as ww; ww.ones((512, 512)) @ ww.ones((512, 512))", WHITEWOLF_THREADS="many")
    assert child.returncode != 0 and "WHITEWOLF_THREADS" in child.stderr and "many" in child.stderr


def test_threads_respect_affinity():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no CPU affinity")
    child = run_child(
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nimport whitewolf as ww; print(ww.get_num_threads())"
    )
    assert child.stdout.strip() == "1", child.stderr


def test_the_pool_survives_fork():
    child = run_child(
        """
        import os, sys, threading, warnings
        warnings.simplefilter("ignore")
        import numpy as np, whitewolf as ww
        ww.set_num_threads(2)
        x = ww.asarray(np.random.default_rng(0).standard_normal((256, 256)).astype("f4"))
        expected = (x @ x).numpy()
        stop = threading.Event()
        def busy():  # the fork lands in the middle of other threads' kernels
            while not stop.is_set():
                x @ x
        noise = [threading.Thread(target=busy) for _ in range(2)]
        for t in noise: t.start()
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                os._exit(0 if np.array_equal((x @ x).numpy(), expected) else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        stop.set()
        for t in noise: t.join()
        assert np.array_equal((x @ x).numpy(), expected)
        print("ok")
        """
    )
    assert child.stdout.strip() == "ok", child.stderr


def test_freed_blocks_are_reused():
    ww.zeros((512, 512))
    before = ww.memory_stats()
    for _ in range(10):
        ww.zeros((512, 512))
    after = ww.memory_stats()
    assert after["allocations"] - before["allocations"] == 10
    assert after["cache_hits"] - before["cache_hits"] >= 9
    assert after["bytes_in_use"] == before["bytes_in_use"]


def test_peak_and_release_are_counted():
    ww.reset_peak_memory()
    start = ww.memory_stats()["peak_in_use"]
    x = ww.zeros((1024, 1024))
    assert ww.memory_stats()["peak_in_use"] >= start + 4 * 1024 * 1024
    del x
    ww.empty_cache()
    assert ww.memory_stats()["bytes_cached"] == 0


def test_blocks_are_aligned():
    for n in (1024, 5000, 1 << 20):
        assert ww.empty(n).numpy().ctypes.data % (64 if n * 4 >= 4096 else 16) == 0


def test_an_absurd_size_is_a_memory_error_with_its_bytes():
    with pytest.raises(MemoryError, match="bytes"):
        ww.empty((1 << 40,))
    with pytest.raises(MemoryError, match="4835703278458516698824704 bytes"):
        ww.empty((1 << 40, 1 << 40))


@pytest.mark.parametrize(
    ("op", "call"),
    [
        ("add", lambda x: x + x),
        ("relu", ww.nn.functional.relu),
        ("matmul", lambda x: ww.matmul(x.reshape(-1, 1), x.reshape(1, -1))),
        ("zeros", lambda x: ww.zeros((1 << 46,))),
    ],
)
def test_a_memory_error_names_the_op_that_asked(op, call):
    x = ww.broadcast_to(ww.ones(1), (1 << 46,)) if op in ("add", "relu") else ww.ones(1 << 23)
    with pytest.raises(MemoryError, match=f"^{op}: expected .*bytes"):
        call(x)


def test_poison_fills_new_blocks_with_nan():
    try:
        ww.set_poison(True)
        for n in (3, 5000):
            assert np.isnan(ww.empty(n).numpy()).all()
    finally:
        ww.set_poison(False)


def test_a_block_outlives_its_tensor_as_long_as_a_view_does():
    view = ww.ones((300, 300)).numpy()[5]
    for _ in range(5):
        ww.zeros((300, 300))
    assert (view == 1).all()


@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512"])
def test_the_instruction_set_can_be_capped(isa):
    child = run_child(
        "import whitewolf as ww; print(ww.isa(), (ww.ones((9, 9)) @ ww.ones((9, 9))).sum().item())", WHITEWOLF_ISA=isa
    )
    levels = ["baseline", "avx2", "avx512"]
    if levels.index(isa) <= levels.index(ww.isa()):
        assert child.stdout.split() == [isa, "729.0"], child.stderr
    else:
        assert child.returncode != 0 and "WHITEWOLF_ISA" in child.stderr


def test_an_unknown_instruction_set_is_an_error_that_lists_them():
    child = run_child("import whitewolf as ww; ww.ones(3)", WHITEWOLF_ISA="sse9")
    assert child.returncode != 0
    assert "WHITEWOLF_ISA: expected baseline, avx2 or avx512, got 'sse9'" in child.stderr


def test_the_headers_can_be_found():
    assert os.path.isfile(os.path.join(ww.get_include(), "engine", "registry.h"))
