"""Batches made ahead of their use: in threads, or in processes.

Both are generators that yield (number, batch) in order. However they end (exhausted, closed by a `break` in the loop, or by an
error), no worker stays behind. Threads share the dataset and copy nothing between them; NumPy, zlib and image decoders release the
interpreter's lock, so they run beside the training. Processes are for datasets whose own Python code is heavy, or that may crash.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import queue
import random
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

_POLL = 0.2  # seconds between looks at whether the workers live
Job = Callable[[int], Any]  # makes the batch of a number


def in_turn(job: Job, numbers: range, workers: int, prefetch: int) -> Iterator[tuple[int, Any]]:
    """Each batch when it is asked for, in the caller's own thread."""
    for number in numbers:
        yield number, job(number)


def in_threads(job: Job, numbers: range, workers: int, prefetch: int) -> Iterator[tuple[int, Any]]:
    """Batches made by `workers` threads, at most `prefetch` for each ahead of the caller."""
    todo: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, Any, tuple[str, BaseException] | None]] = queue.SimpleQueue()
    stop = threading.Event()
    threads = [
        threading.Thread(target=_work, args=(job, todo, done, stop), name=f"whitewolf-data-{i}", daemon=True)
        for i in range(workers)
    ]
    ready: dict[int, tuple[Any, tuple[str, BaseException] | None]] = {}
    ahead = workers * prefetch
    for number in numbers[:ahead]:
        todo.put(number)
    try:
        for thread in threads:
            thread.start()
        for position, number in enumerate(numbers):
            while number not in ready:
                try:
                    got, batch, failure = done.get(timeout=_POLL)
                    ready[got] = batch, failure
                except queue.Empty:
                    if not any(thread.is_alive() for thread in threads) and done.empty():
                        raise RuntimeError(f"DataLoader: expected batch {number}, got none: all worker threads are dead") from None
            batch, failure = ready.pop(number)
            if failure is not None:
                text, error = failure
                raise RuntimeError(f"DataLoader: a worker thread failed on batch {number}:\n{text}") from error
            if position + ahead < len(numbers):
                todo.put(numbers[position + ahead])
            yield number, batch
    finally:
        stop.set()
        for _ in threads:
            todo.put(None)
        for thread in threads:
            if thread.is_alive():
                thread.join(timeout=5)  # one that hangs in its dataset is a daemon: it cannot keep the program from ending


def _work(job: Job, todo: Any, done: Any, stop: threading.Event) -> None:
    while (number := todo.get()) is not None and not stop.is_set():
        try:
            done.put((number, job(number), None))
        except BaseException as error:  # SystemExit too: whatever ends a worker must reach the caller
            done.put((number, None, (traceback.format_exc(), error)))
            return


def in_processes(job: Job, numbers: range, workers: int, prefetch: int) -> Iterator[tuple[int, Any]]:
    """Batches made by `workers` processes, at most `prefetch` for each ahead of the caller.

    Each has a pipe of its own, so that one that is killed while it writes cannot block the others, and the caller waits for the
    pipe and for the death of any worker at once.
    """
    # Linux forks: the dataset is there without a copy. Elsewhere it is pickled.
    context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    pipes: list[Connection] = []
    processes: list[Any] = []
    try:
        for i in range(workers):
            ours, theirs = context.Pipe()
            pipes.append(ours)
            inherited = list(pipes) if context.get_start_method() == "fork" else []
            process = context.Process(target=_serve, args=(theirs, inherited, job, i), name=f"whitewolf-data-{i}", daemon=True)
            with warnings.catch_warnings(), _interrupts_held():
                # Python warns of forking with threads; the engine's own threads are made for it, and a worker needs no others.
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
            processes.append(process)
            theirs.close()
        for position, number in enumerate(numbers[: workers * prefetch]):
            _send(pipes[position % workers], number)
        for position, number in enumerate(numbers):
            worker = position % workers
            batch, failure = _receive(pipes, processes, worker, number)
            if failure is not None:
                raise RuntimeError(f"DataLoader: worker process {worker} failed on batch {number}:\n{failure}")
            if position + workers * prefetch < len(numbers):
                _send(pipes[worker], numbers[position + workers * prefetch])
            yield number, batch
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.kill()  # they hold nothing that wants saving, and may be deep in a batch that nobody needs
        for process in processes:
            process.join()
            process.close()


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """A process begun here has Ctrl-C blocked until it says what it does with it: one that came sooner would kill it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _send(pipe: Connection, number: int) -> None:
    with contextlib.suppress(OSError):  # the worker is dead, as the next wait for it tells; what it made before is good
        pipe.send(number)


def _receive(pipes: list[Connection], processes: list[Any], worker: int, number: int) -> tuple[Any, str | None]:
    """The batch that a worker sends next, or the text of its exception.

    Raises:
        RuntimeError: one of the workers died.
    """
    pipe = pipes[worker]
    sentinels = {process.sentinel: i for i, process in enumerate(processes)}
    ready = wait([pipe, *sentinels])
    if pipe not in ready:
        raise _died(processes, next(sentinels[s] for s in ready if s in sentinels), None)
    try:
        got, batch, failure = pipe.recv()
    except (EOFError, OSError):
        raise _died(processes, worker, number) from None
    if got != number:
        raise RuntimeError(f"DataLoader: expected batch {number} from worker process {worker}, got batch {got}")
    return batch, failure


def _died(processes: list[Any], worker: int, number: int | None) -> RuntimeError:
    process = processes[worker]
    process.join(timeout=0.5)
    code = process.exitcode
    how = "by itself" if code is None else f"with exit code {code}"
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        how = f"by {name}" + (": out of memory, perhaps" if name == "SIGKILL" else "")
    on = "" if number is None else f" before it gave batch {number}"
    return RuntimeError(f"DataLoader: worker process {worker} (pid {process.pid}) died {how}{on}")


def _serve(pipe: Connection, inherited: list[Connection], job: Job, worker: int) -> None:
    """A worker process: reads batch numbers until the caller closes the pipe, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller, which then ends its workers
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # as the caller left it: what the job starts may be interrupted
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for other in inherited:  # or this process would keep its siblings' pipes, and its own, open when the caller dies
        other.close()
    # A fork begins with its parent's generators: without this, all workers would draw the same numbers.
    seeds = np.random.SeedSequence([getattr(job, "seed", 0), getattr(job, "epoch", 0), worker]).generate_state(2)
    random.seed(int(seeds[0]))
    np.random.seed(seeds[1])
    while True:
        try:
            number = pipe.recv()
        except (EOFError, OSError):
            return
        result: tuple[int, Any, str | None]
        try:
            result = number, job(number), None
        except BaseException:
            result = number, None, traceback.format_exc()
        try:
            pipe.send(result)
        except OSError:
            return
        except Exception:  # what cannot be pickled
            pipe.send((number, None, traceback.format_exc()))
