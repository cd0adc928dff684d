"""The benchmark as a page: a roofline (Williams, Waterman and Patterson 2009) in SVG, and the table. It loads nothing."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path
from typing import Any

from .report import cells, summary

WIDTH, HEIGHT, LEFT, BOTTOM = 900, 460, 70, 50

STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}th,td{padding:.25rem .6rem;text-align:right;
border-bottom:1px solid #ddd}th:nth-child(-n+4),td:nth-child(-n+4){text-align:left}
svg text{font:12px system-ui,sans-serif;fill:#444}
.roof{fill:none;stroke:#b33;stroke-width:2}.grid{stroke:#eee}circle{fill:#2a6fb0;fill-opacity:.75}circle.slow{fill:#d98c1f}
.scroll{overflow-x:auto}"""


class _Axes:
    """Log-log coordinates."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self.x, self.y = x, y

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = math.log(x / self.x[0]) / math.log(self.x[1] / self.x[0])
        up = math.log(y / self.y[0]) / math.log(self.y[1] / self.y[0])
        return LEFT + across * (WIDTH - LEFT - 20), (HEIGHT - BOTTOM) - up * (HEIGHT - BOTTOM - 20)


def _decades(low: float, high: float) -> list[float]:
    return [10.0**e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def roofline(result: dict[str, Any]) -> str:
    """The SVG: each row that has FLOPs and bytes as a point under the float32 roof."""
    machine = result["machine"]
    rows = [r for r in result["rows"] if r.get("gflops") and r.get("gbps")]
    peak, bandwidth = machine["gflops_float32"], machine["gbps"]
    intensity = [r["gflops"] / r["gbps"] for r in rows] or [1.0]
    speed = [r["gflops"] for r in rows] or [1.0]
    xs, ys = _decades(min(*intensity, 0.1), max(*intensity, 100)), _decades(min(*speed, bandwidth / 10), peak)
    axes = _Axes((xs[0], xs[-1]), (ys[0], ys[-1]))
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="roofline">']
    for x in xs:
        (px, bottom), (_, top) = axes.at(x, ys[0]), axes.at(x, ys[-1])
        parts.append(f'<line class="grid" x1="{px:.1f}" x2="{px:.1f}" y1="{bottom:.1f}" y2="{top:.1f}"/>')
        parts.append(f'<text x="{px:.1f}" y="{bottom + 18:.1f}" text-anchor="middle">{x:g}</text>')
    for y in ys:
        (left, py), (right, _) = axes.at(xs[0], y), axes.at(xs[-1], y)
        parts.append(f'<line class="grid" x1="{left:.1f}" x2="{right:.1f}" y1="{py:.1f}" y2="{py:.1f}"/>')
        parts.append(f'<text x="{left - 8:.1f}" y="{py + 4:.1f}" text-anchor="end">{y:g}</text>')
    start = max(xs[0], ys[0] / bandwidth)
    corner = peak / bandwidth
    roof = [(start, start * bandwidth), (corner, peak), (xs[-1], peak)]
    parts.append('<polyline class="roof" points="' + " ".join("{:.1f},{:.1f}".format(*axes.at(*p)) for p in roof) + '"/>')
    for row, x in zip(rows, intensity):
        px, py = axes.at(x, row["gflops"])
        name = f"{row['op']} {row['case']}: {row['gflops']:.1f} GFLOP/s, {100 * row['share_of_peak']:.0f} % of the roof"
        slow = ' class="slow"' if row["ratio"] and min(row["ratio"].values()) < 1 else ""
        parts.append(f'<circle{slow} cx="{px:.1f}" cy="{py:.1f}" r="5"><title>{escape(name)}</title></circle>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">FLOP a byte</text>')
    parts.append(f'<text transform="translate(16 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">GFLOP/s</text></svg>')
    return "\n".join(parts)


def page(result: dict[str, Any]) -> str:
    """The whole page."""
    libraries = [n for n, state in result["environment"]["references"].items() if state != "not installed"]
    columns = ["op", "case", "dtype", "variant", "ms", "±%", "GFLOP/s", "GB/s", "% of roof", "error"]
    columns += [name for library in libraries for name in (f"{library} ms", "ratio")]
    head = "".join(f"<th>{escape(c)}</th>" for c in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in cells(r, libraries)) + "</tr>" for r in result["rows"])
    where = "".join(f"<tr><td>{escape(str(k))}</td><td>{escape(str(v))}</td></tr>" for k, v in result["environment"].items())
    notes = "".join(f"<p>{escape(t)}</p>" for t in summary(result))
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Whitewolf benchmark</title><style>{STYLE}</style><h1>Whitewolf benchmark</h1>{notes}
<p>Red: the roof that this machine's measured peaks make. Orange: slower than a reference. Point at a dot for its name. Above the
sloping roof: data that stayed in the caches.</p>
{roofline(result)}
<h2>Rows</h2><p>ratio: the reference's time divided by ours, taken in one run, interleaved; error: against float64, relative to the
largest value.</p><div class="scroll"><table><tr>{head}</tr>
{body}</table></div><h2>Environment</h2><table>{where}</table></html>
"""


def write_page(result: dict[str, Any], path: str) -> None:
    """Writes the page to `path`."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(page(result), encoding="utf-8")
