"""Ctrl-C within a launch on device cudasim: each case is a process of its own, which gets SIGINT while its kernel runs."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import whitewolf as ww

SETUP = """
import signal
import numpy as np
import whitewolf as ww

ww.set_num_threads(THREADS)
kernel = ww.kernels.get("matmul_forward", device="cudasim", variant=VARIANT)
one = np.ones((), "f4")
a, b = np.broadcast_to(one, (M, K)), np.broadcast_to(one, (K, 64))
out = np.full((M, 64), 7, "f4")

def begin():
    print("begun", flush=True)
    kernel(out, a, b)
"""
RAISES = """
try:
    begin()
except KeyboardInterrupt:
    assert (out == 7).all()  # what the launch had done by then is in a copy
    small = np.empty((2, 2), "f4")
    kernel(small, np.ones((2, 3), "f4"), np.ones((3, 2), "f4"))
    assert (small == 3).all()
    print("ended", flush=True)
"""


def run(script: str, after: float, limit: float = 30) -> tuple[str, float]:
    """What a process says that gets SIGINT `after` seconds from its word "begun", and how long it then takes to end."""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        start = time.perf_counter()
        said, _ = process.communicate(timeout=limit)
        return said, time.perf_counter() - start
    finally:
        process.kill()


# Minutes of work: in a few blocks without a meeting, in many short blocks, and in one that meets at barriers.
@pytest.mark.parametrize(
    ("variant", "m", "k", "threads"), [("naive", 16, 10**9, 2), ("naive", 10**6, 300, 2), ("tiled", 16, 10**9, 1)]
)
def test_ctrl_c_ends_a_launch_soon_and_leaves_the_output_alone(variant: str, m: int, k: int, threads: int) -> None:
    settings = f"THREADS, VARIANT, M, K = {threads}, {variant!r}, {m}, {k}\n"
    said, seconds = run(settings + SETUP + RAISES, 0.3)
    assert said == "ended\n", said
    assert seconds < 10


UPDATES = """
x = ww.ones((3000, 3000), device="cudasim")
print("begun", flush=True)
try:
    kernel = ww.kernels.get("add_forward", device="cudasim")
    while True:
        kernel(x._data, x._data, x._data)
except KeyboardInterrupt:
    values = np.unique(x.numpy())
    assert len(values) == 1, values
    print("whole", flush=True)
"""


def test_what_is_updated_in_place_is_not_left_half_done() -> None:
    said, _ = run("import numpy as np\nimport whitewolf as ww\n" + UPDATES, 0.3)
    assert said == "whole\n", said


THREADS_END = """
import threading
said = []

def work():
    try:
        kernel(out, a, b)
    except ww.DeviceError as error:
        said.append(str(error))

thread = threading.Thread(target=work)
thread.start()
print("begun", flush=True)
try:
    thread.join()
except KeyboardInterrupt:
    thread.join()
    print(said, flush=True)
"""


def test_ctrl_c_ends_a_launch_of_another_thread_with_a_device_error() -> None:
    said, seconds = run("THREADS, VARIANT, M, K = 1, 'naive', 16, 10**9\n" + SETUP + THREADS_END, 0.3)
    assert said == "['cudasim: kernel naive<float>: interrupted']\n", said
    assert seconds < 10


def test_a_launch_over_small_arrays_lets_other_threads_of_python_run() -> None:
    """Else an endless kernel over them would stop the whole program, Ctrl-C's handler included."""
    kernel = ww.kernels.get("matmul_forward", device="cudasim", variant="naive")
    out, x = np.empty((4, 4), "f4"), np.ones((4, 4), "f4")
    gate, ran = threading.Lock(), []
    gate.acquire()
    thread = threading.Thread(target=lambda: (gate.acquire(), ran.append(True)))
    thread.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # nobody is asked to give the lock of the interpreter up
    try:
        gate.release()
        end = time.monotonic() + 20
        while not ran and time.monotonic() < end:
            kernel(out, x, x)
    finally:
        sys.setswitchinterval(interval)
        seen = bool(ran)
        thread.join()
    assert seen


HANDLED = """
came = []
signal.signal(signal.SIGINT, lambda *_: came.append(1))
begin()
while not came:
    kernel(out, a, b)
assert (out == K).all()
print("whole", flush=True)
"""


def test_a_handler_of_the_programs_own_is_run_when_the_launch_is_over() -> None:
    said, _ = run("THREADS, VARIANT, M, K = 2, 'naive', 10000, 300\n" + SETUP + HANDLED, 0.2)
    assert said == "whole\n", said
