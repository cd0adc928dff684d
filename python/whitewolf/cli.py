"""The command `whitewolf`: info, doctor, verify, bench, profile, train. Exit status 0 only when what was asked was done."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from . import console


class _Parser(argparse.ArgumentParser):
    """Argument errors in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; {self.prog} --help lists what there is\n")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text}")
    return value


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def parser() -> argparse.ArgumentParser:
    """The whole command line; workloads add their own arguments to `train NAME`."""
    from . import __version__, workloads

    common = _Parser(add_help=False)
    common.add_argument("--device", default="cpu", help="cpu (default), cudasim or cuda")
    common.add_argument("--json", metavar="FILE", help="write the result as JSON ('-': to standard output)")
    common.add_argument("--threads", type=_positive, metavar="N", help="threads of the kernels (default: all cores given to us)")
    common.add_argument("--seed", type=int, default=0, metavar="N", help="of everything random (default 0)")
    top = _Parser(prog="whitewolf", description="Deep-learning kernels to read, run, verify and benchmark.")
    top.add_argument("--version", action="version", version=f"whitewolf {__version__}")
    commands = top.add_subparsers(dest="command", required=True, parser_class=_Parser, metavar="COMMAND")
    commands.add_parser("info", parents=[common], help="version, devices, instruction set, threads, kernels")
    commands.add_parser("doctor", parents=[common], help="what is here, what is not and why, and how to get it")

    verify = commands.add_parser("verify", parents=[common], help="check the kernels against their references")
    verify.add_argument("names", nargs="*", metavar="OP", help="ops of the table, or families of kernels; all without one")
    verify.add_argument("--op", action="append", default=[], metavar="NAME", help="only this op (may be given again)")
    verify.add_argument("--check", action="append", default=[], metavar="NAME", help="only this check (may be given again)")
    verify.add_argument(
        "--shard", type=_shard, default=(1, 1), metavar="I/N", help="the I-th of N parts, for N processes side by side"
    )

    bench = commands.add_parser("bench", parents=[common], help="time the kernels against references and the machine's peak")
    bench.add_argument("names", nargs="*", metavar="OP", help="ops of the table; all of the suite without one")
    bench.add_argument(
        "--suite", choices=("core", "paper", "variants"), default="core", help="rows to run without names (default core)"
    )
    bench.add_argument("--against", type=_names, metavar="LIST", help="references (default numpy,torch; on a GPU cupy,torch)")
    bench.add_argument("--html", metavar="FILE", help="write a page with a roofline plot")
    bench.add_argument("--quick", action="store_true", help="shorter runs, and fewer rows: the largest are left out")

    profile = commands.add_parser("profile", parents=[common], help="time a script or a workload kernel by kernel")
    profile.add_argument("target", metavar="SCRIPT.py|WORKLOAD", help="a Python file, or the name of a workload")
    profile.add_argument("arguments", nargs=argparse.REMAINDER, help="passed on to it")

    train = commands.add_parser("train", help="train a workload")
    train.add_argument("--list", action="store_true", help="print the workloads there are")
    train.add_argument("--json", metavar="FILE", default=argparse.SUPPRESS, help="with --list: write the list as JSON")
    named = train.add_subparsers(dest="workload", parser_class=_Parser, metavar="NAME")
    for workload in workloads.all():
        own = named.add_parser(workload.name, parents=[common], help=workload.summary)
        workloads.add_arguments(own)
        workload.add_arguments(own)
        own.description = workloads.about(workload, own)
    return top


def _info(options: argparse.Namespace) -> int:
    from .device import device
    from .doctor import print_info

    device(options.device)  # one that is not there is an error
    _finish(options, print_info())
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from .device import NAMES
    from .doctor import print_doctor

    if options.device not in NAMES:
        raise ValueError(f"expected --device to be one of {', '.join(NAMES)}, got {options.device!r}")
    findings, well = print_doctor(options.device)
    _finish(options, {"findings": findings, "ok": well})
    return 0 if well else 1


def _shard(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    return int(part), int(parts)


def _verify(options: argparse.Namespace) -> int:
    from .verify import report, verify

    def progress(row: dict[str, Any]) -> None:
        console.line(f"{row['op']}: {'ok' if row['ok'] else 'FAILED'} ({sum(o['seconds'] for o in row['checks'].values()):.1f} s)")

    result = verify([*options.names, *options.op], options.check, options.device, options.seed, progress, options.shard)
    report(result)
    _finish(options, result)
    return 0 if result["ok"] else 1


def _bench(options: argparse.Namespace) -> int:
    from .bench import run_bench
    from .bench.page import write_page
    from .bench.report import report

    def progress(row: dict[str, Any]) -> None:
        console.line(f"{row['op']} {row['case']}: " + (f"{row['ms']:.3f} ms" if "ms" in row else "WRONG"))

    result = run_bench(
        options.names, options.against, options.quick, options.device, options.seed, progress, options.suite, apart=True
    )
    report(result)
    if options.html:
        write_page(result, options.html)
    _finish(options, result)
    return 0 if result["ok"] else 1


def _profile(options: argparse.Namespace) -> int:
    from . import workloads
    from .profile import profile, profile_script

    if options.target in [w.name for w in workloads.all()]:
        trained = parser().parse_args(["train", options.target, *options.arguments])
        with profile(options.device) as found:
            workloads.run(trained.workload, trained)
    else:
        if not os.path.isfile(options.target):
            raise FileNotFoundError(f"profile: expected a Python file or a workload, got {options.target!r}")
        found = profile_script(options.target, options.arguments, options.device)
    found.report()
    _finish(options, {"seconds": found.seconds, "rows": found.rows})
    return 0


def _train(options: argparse.Namespace) -> int:
    from . import workloads

    if options.list or options.workload is None:
        rows = workloads.describe()
        _list(rows)
        if getattr(options, "json", None):
            console.write_json(options.json, rows)
        return 0 if options.list else 2
    result = workloads.run(options.workload, options)
    _finish(options, result)
    # A run that was shortened by hand promised nothing.
    shortened = options.quick or options.epochs is not None or options.steps is not None or options.evaluate
    return 1 if result["reached"] is False and not shortened else 0


def _list(rows: list[dict[str, Any]]) -> None:
    cells = []
    for row in rows:
        sign, found = ">=" if row["larger_is_better"] else "<=", row["last"]
        target = "" if row["target"] is None else f"{row['metric']} {sign} {row['target']:g}"
        value = "none yet" if found is None else f"{found['metric']} {found['value']:.4g} ({found['from']})"
        cells.append([row["name"], row["summary"], row["paper"], row["data"], target, value])
    console.table("whitewolf train NAME", ("name", "what", "paper", "data", "target", "last result"), cells)


def _finish(options: argparse.Namespace, result: Any) -> None:
    if options.json:
        console.write_json(options.json, result)


def _settle_libraries(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Starts again with the environment that a fair benchmark needs: NumPy's BLAS reads it only when it is imported.

    Its threads spin for up to 2^OPENBLAS_THREAD_TIMEOUT cycles after their work, by default for so long that whoever runs next
    shares the cores with them.
    """
    from .environment import cores

    threads = str(options.threads or os.environ.get("WHITEWOLF_THREADS") or cores())
    wanted = {f"{library}_NUM_THREADS": threads for library in ("OPENBLAS", "MKL", "OMP")}
    wanted |= {"OPENBLAS_THREAD_TIMEOUT": "4", "WHITEWOLF_THREADS": threads}
    if os.environ.get("WHITEWOLF_BENCH_CHILD") != threads:
        os.environ.update(wanted, WHITEWOLF_BENCH_CHILD=threads)
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", "whitewolf", *arguments])


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(given)
    try:
        if options.command == "bench" and arguments is None:
            _settle_libraries(options, given)
        if getattr(options, "threads", None):
            from .runtime import set_num_threads

            set_num_threads(options.threads)
        json_file, html_file = getattr(options, "json", None), getattr(options, "html", None)
        with console.beside_json(json_file):
            for path in (json_file, html_file):
                if path:
                    console.check_file(path)
            return _COMMANDS[options.command](options)
    except KeyboardInterrupt:
        console.line()
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if os.environ.get("WHITEWOLF_TRACEBACK"):
            raise
        text = " ".join(str(error).split()).removeprefix(f"{options.command}: ") or type(error).__name__
        kind = "" if isinstance(error, (ValueError, OSError, RuntimeError)) else f"{type(error).__name__}: "
        print(f"whitewolf {options.command}: {kind}{text}", file=sys.stderr)
        return 1


_COMMANDS = {"info": _info, "doctor": _doctor, "verify": _verify, "bench": _bench, "profile": _profile, "train": _train}
