"""Writes docs/results.md: what each full run of `whitewolf train` reached, from the records in python/whitewolf/workloads/recorded.

python docs/results.py                               writes the page
python docs/results.py --check                       exits with 1 where the page is not what it would write
python docs/results.py --add RESULT.json [--note X]  keeps a run's result.json as a record, then writes the page
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from pathlib import Path
from typing import Any

from whitewolf import workloads
from whitewolf.workloads.record import RECORDED, recorded

PAGE = Path(__file__).parent / "results.md"
HEAD = """# Results

What the runs of `whitewolf train` reached, newest last. Written by `docs/results.py` from `python/whitewolf/workloads/recorded`, which
holds each run's `result.json`. The machine was shared with other work, so times are upper bounds. A target that a run did not reach
says so, with the reason. `DATA` stands for the folder of the data.
"""

# What the records show together, and what the targets ask for that no record shows yet.
OPEN = {
    "alexnet": "Dropout and augmentation help where the net learns its pictures by heart: with neither it reaches 73.1 % (20,000 "
    "pictures of CIFAR-10, one seed), with dropout alone 75.3 %, with augmentation alone 79.8 %. With both, 20 epochs are too few (75.5 "
    "%; 74 % of the pictures it learns from): that both together help is not shown. With ReLU 75.5 %, with tanh in its place 73.3 %. Not run: the full "
    "network to convergence (one step of it is a test).",
    "pretrain": "On the digits (50 labels, 359 images to test on) the gain depends on the seed: by RBMs 0.22, 0.20 and 0.14, by denoising "
    "autoencoders 0.22, 0.11 and 0.06. The first seed reaches the wanted 0.2, the means, 0.19 and 0.13, do not. For denoising, "
    "salt-and-pepper noise in place of masking (0.11), half of the pixels masked and other rates were no better; perhaps the neighbours "
    "tell too much of what is masked of 8x8 pixels. On MNIST they gain 0.29, more than the RBMs.",
    "dqn": "Atari games were played for a few steps only, to see that they play.",
    "glimpse": "On cluttered MNIST (60x60, 4 pieces) 12 epochs are too few: the error is 21 %, and 23 % on what it learns from.",
    "lstm-lm": "Not run: Python's library source in full, Zaremba's models on the Penn Treebank (which was not at hand).",
    "wordvec": "Not run: Python's library source in full.",
    "seq2seq": "Without attention, a net that reads the source from its end learns the numbers sooner, for each of three seeds.",
    "ntm": "Repeat copy is learned, but not exactly: the read head runs through what was written again and again, yet the loss leaps late in "
    "the run. A lower rate, or more than 20,000 sequences, was not tried.",
    "memnet": "Not run: the mean of the 20 tasks (--task all) with 10,000 questions of each (about 2,600 CPU seconds).",
    "transformer": "In the first full run below the GPT's places were vectors added to its symbols; since they turn queries and keys, it is "
    "0.035 nats behind the LSTM where it was 0.100. The wanted 0.02 is not reached. Peak rates tried for the GPT: 0.002, 0.004, 0.008 "
    "(1.99, 1.93, 1.96 nats of held-out text after 300 steps); for the LSTM 0.004, 0.008, 0.016, 0.032 (the last two 1.79, 1.80). The GPT "
    "loses its place in the first epoch (0.124) and has 128 symbols to look at, the LSTM all before. Not run: Python's library source in "
    "full.",
}


def add(path: str, note: str) -> None:
    found = json.loads(Path(path).read_text())
    found["date"] = datetime.date.fromtimestamp(Path(path).stat().st_mtime).isoformat()
    if note:
        found["note"] = note
    words = found["command"].split(" ")
    for at, word in enumerate(words):  # folders are the machine's own
        if word == "--data":
            words[at + 1] = "DATA/" + Path(words[at + 1]).name
        if word == "--out":
            words[at : at + 2] = ["", ""]
    found["command"] = " ".join(w for w in words if w)
    RECORDED.mkdir(exist_ok=True)
    with open(RECORDED / f"{found['workload']}.jsonl", "a") as file:
        file.write(json.dumps(found) + "\n")


def row(run: dict[str, Any]) -> str:
    if run["target"] is None:
        target = ""
    else:
        target = (
            f"{'>=' if run['larger_is_better'] else '<='} {run['target']:g}: {'reached' if run['reached'] else '**not reached**'}"
        )
    cells = [
        f"`{run['command']}`", run["data"], f"{run['metric']} {run['value']:.4g}", target, str(run["seed"]),
        f"{run['seconds']:.0f} s", run["date"], run["machine"], run.get("note", ""),
    ]  # fmt: skip
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def page() -> str:
    parts = [HEAD]
    for workload in workloads.all():
        parts.append(f"## {workload.name}\n\n{workload.summary[0].upper()}{workload.summary[1:]}: {workload.paper}.\n")
        runs = recorded(workload.name)
        if all(run.get("quick") for run in runs):
            parts.append("No full run was recorded yet.\n")
        if workload.name in OPEN:
            parts.append(f"{OPEN[workload.name]}\n")
        if not runs:
            continue
        lines = ["| command | data | result | target | seed | time | date | machine | note |", "|" + "---|" * 9]
        for run in runs:
            lines.append(row(run))
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--add", metavar="RESULT.json")
    parser.add_argument("--note", default="")
    options = parser.parse_args()
    if options.add:
        add(options.add, options.note)
    if options.check:
        sys.exit(0 if PAGE.read_text() == page() else f"{PAGE.name} is not what docs/results.py writes: run it")
    PAGE.write_text(page())
