"""The benchmark as a table for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import console


def number(value: float) -> str:
    """Three significant digits without an exponent."""
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}" if abs(value) < 1000 else f"{value:.0f}"


def summary(result: dict[str, Any]) -> list[str]:
    """The lines under the table: peaks, references that are not there, and the geometric mean of the ratios."""
    machine, where = result["machine"], result["environment"]
    arithmetic = f"{machine['gflops_float32']:.0f} GFLOP/s float32, {machine['gflops_float64']:.0f} float64, "
    lines = [
        (f"{where['gpu']}, {where['arithmetic']}; " if "gpu" in where else "")
        + f"{where['cpu']}, {where['isa']}, {where['threads']} threads; peak measured in this run: "
        + f"{arithmetic if machine['gflops_float32'] else ''}copy {machine['gbps']:.1f} GB/s"
    ]
    for library, state in where["references"].items():
        lines.append(f"{library} {state}" + (": no ratios against it" if state == "not installed" else ""))
        ratios = [r["ratio"][library] for r in result["rows"] if library in r.get("ratio", {})]
        if ratios:
            mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
            lines.append(f"against {library}: geometric mean {mean:.2f} over {len(ratios)} rows, least {min(ratios):.2f}")
    return lines


def cells(row: dict[str, Any], libraries: Sequence[str]) -> list[str]:
    """A row of the table as text."""
    head = [row["op"], row["case"], row["dtype"].replace("float", "f")]
    if "wrong" in row:
        return [*head, "WRONG", *[""] * (6 + 2 * len(libraries))]
    variants = row["variant"].split("+")
    shown = "+".join(variants[:3]) + (f" and {len(variants) - 3} more" if len(variants) > 3 else "")
    found = [*head, shown, number(row["ms"]) + (f" ({row['way']})" if row["way"] else ""), f"{100 * row['spread']:.0f}"]
    found += [number(row["gflops"]) if row["gflops"] else "-", number(row["gbps"]) if row["gbps"] else "-"]
    found.append(
        f"{100 * row['share_of_peak']:.0f} {'A' if row['bound'] == 'arithmetic' else 'M'}" if row["share_of_peak"] else "-"
    )
    found.append(f"{row['error']:.1e}")
    for library in libraries:
        if library in row["ratio"]:
            way = row["reference_way"][library]
            found += [number(row["reference_ms"][library]) + (f" ({way})" if way else ""), f"{row['ratio'][library]:.2f}"]
        else:
            found += ["-", "-"]
    return found


def report(result: dict[str, Any]) -> None:
    """Prints table and summary; a ratio above 1 means that we are faster."""
    libraries = [n for n, state in result["environment"]["references"].items() if state != "not installed"]
    columns = ["op", "case", "dtype", "variant", "ms", "+-%", "GFLOP/s", "GB/s", "% of peak", "error"]
    for library in libraries:
        columns += [f"{library} ms", "ratio"]
    console.table("ratio: their time / ours; % of peak: of the roof, A arithmetic or M memory", columns,
                  [cells(r, libraries) for r in result["rows"]], right=columns[4:])  # fmt: skip
    for row in result["rows"]:
        if "wrong" in row:
            console.line(f"WRONG, so not timed: {row['wrong']}")
    for text in summary(result):
        console.line(text)
