"""The picture of the page. Needs matplotlib (`pip install '.[bench]'`)."""

from __future__ import annotations

import io
import re
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from benchmarks.figures import MIB, Results, has, percentile, times

mpl.rcParams["svg.hashsalt"] = "bullpen"
"""The same results give the same file."""

COLOURS = {
    "floor": "#9aa0a6",
    "bullpen": "#1a73e8",
    "lock": "#f9ab00",
    "per-request": "#d93025",
    "generic-pool": "#9334e6",
}
LABELS = {
    "floor": "bare warm client (floor)",
    "bullpen": "bullpen",
    "lock": "one client, global lock",
    "per-request": "a client per request",
    "generic-pool": "generic pool",
}


def draw(results: Results, path: Path) -> None:
    canvas = Canvas(figsize=(10, 4.2), layout="constrained")
    left, right = canvas.subplots(1, 2, width_ratios=(3, 2))
    _draw_first_tokens(left, results)
    _draw_soak(right, results)
    text = io.StringIO()
    canvas.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    # matplotlib leaves blanks at the ends of lines.
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(re.sub(r"[ \t]+$", "", text.getvalue(), flags=re.MULTILINE), "utf-8")


def _draw_first_tokens(axes: Axes, results: Results) -> None:
    axes.set_title("submit → first token: p50, line to p95")
    axes.set_ylabel("ms (logarithmic)")
    axes.set_yscale("log")
    counts = results["plan"]["users"]
    axes.set_xticks(range(len(counts)), [f"{count} users" if count > 1 else "1 user" for count in counts])
    width = 0.8 / len(COLOURS)
    for position, (name, colour) in enumerate(COLOURS.items()):
        for place, count in enumerate(counts):
            found = [results[phase][str(count)] for phase in ("warm", "requests") if has(results, phase)]
            blocks = next((one[name] for one in found if name in one), None)
            if blocks is None:
                continue
            middle, high = (percentile(times(blocks), share) * 1000 for share in (0.5, 0.95))
            x = place + (position - (len(COLOURS) - 1) / 2) * width
            axes.bar(x, middle, width * 0.9, color=colour, label=LABELS[name] if place == 0 else None)
            axes.plot([x, x], [middle, max(middle, high)], color="black", linewidth=1)
    if axes.patches:
        axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_soak(axes: Axes, results: Results) -> None:
    axes.set_title("soak: memory of the supervisor")
    axes.set_xlabel("turns")
    axes.set_ylabel("RSS, MiB")
    axes.spines[["top", "right"]].set_visible(False)
    if has(results, "soak"):
        samples = results["soak"]["samples"]
        axes.plot([one["turns"] for one in samples], [one["rss"] / MIB for one in samples], color=COLOURS["bullpen"])
        axes.set_ylim(0, max(one["rss"] for one in samples) / MIB * 1.2)
