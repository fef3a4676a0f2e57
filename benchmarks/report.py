"""The page: figures with their targets first, then what they were computed from, then a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.figures import (
    FIRST,
    QUICK,
    RESULT,
    SETTLING,
    Block,
    Figure,
    Results,
    compute_figures,
    has,
    percentile,
    soak_slopes,
    times,
)
from benchmarks.sections import sections_of

NAMES = {
    "bullpen": "(a) bullpen",
    "per-request": "(b) a client per request",
    "generic-pool": "(c) generic pool",
    "lock": "(d) one client, global lock",
    "floor": "(e) bare warm client: the floor",
}
STARTS = {
    "spare": "new session on a spare",
    "new": "new session, cold",
    "resume": "resumed session, bullpen",
    "bare-resume": "resumed session, bare client",
}
METHOD = (
    "The users of a block are prompted in parallel, each one's turns one after the other. Contenders take turns block "
    "by block, and each round begins with another of them.",
    "Every session has had one turn before anything is measured; warm clients three. (a), (d) and (e) have their "
    "clients connected.",
    "bullpen is timed where a caller stands: around `submit`, `stream` and `outcome`, with its default settings.",
    "The floor is timed in the client's reader, before anything is woken. Its result is the Result message; bullpen's "
    "is the outcome, which is told when it is recorded.",
    "Users do not pause to think: with more of them than cores, warm clients wait for the cores as well.",
    "(c) has as many generic clients as there are users, so that no user waits for one.",
    "The fake client answers at once and has no process; its prompts come at random times. Written means handed to the "
    "connection.",
    "A hibernated session has had one turn of about a hundred characters each way.",
)
NOTES = "benchmarks-notes.md"
"""Beside the page; written by hand, and put at its end."""


def write_page(results: Results, path: Path) -> str:
    """Writes the page, and the picture beside it when matplotlib is there. Returns the figures, for the terminal."""
    figures = compute_figures(results)
    picture = path.with_suffix(".svg")
    try:
        from benchmarks.picture import draw
    except ModuleNotFoundError:
        has_picture = picture.is_file()
    else:
        draw(results, picture)
        has_picture = True
    notes = path.with_name(NOTES)
    others = sections_of(path.read_text("utf-8")) if path.is_file() else []
    text = "\n".join(_lines(results, figures, picture.name if has_picture else ""))
    if notes.is_file():
        text += "\n" + notes.read_text("utf-8")
    for section in others:  # written by other runs, and kept
        text += f"\n{section}\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return "\n".join(f"{one.name}: {one.shown or one.verdict}  {one.target}  {one.verdict}" for one in figures)


def _lines(results: Results, figures: Sequence[Figure], picture: str) -> Iterator[str]:
    facts = results["facts"]
    yield "# Benchmarks"
    yield ""
    yield "Made by `make bench`; nothing here is typed in by hand but the notes at the end."
    yield ""
    yield (
        f"{facts['date']} · {facts['cores']} cores, {facts['memory'] / 2**30:.0f} GiB, {facts['system']} · "
        f"Python {facts['python']} · bullpen {facts['bullpen']} · Agent SDK {facts['sdk']} with CLI {facts['cli']} · "
        f"load {facts['load_before']:.1f} before, {facts['load_after']:.1f} after"
    )
    yield ""
    yield "| figure | measured | target | |"
    yield "|---|---|---|---|"
    for figure in figures:
        name = figure.name.replace("  ", "&nbsp;&nbsp;", 1) if figure.name.startswith("  ") else figure.name
        yield f"| {name} | {figure.shown} | {figure.target} | {figure.verdict} |"
    yield ""
    yield (
        "A ratio is of medians; in brackets the bounds that 95 % of the ratios lie in when the rounds are drawn "
        "again and again."
    )
    for phase, found in results.items():
        if "error" in found:
            yield ""
            yield f"**The phase `{phase}` failed:** {found['error']}"
    if picture:
        yield ""
        yield f"![First token by contender and number of users; memory of the supervisor over the soak]({picture})"
    yield ""
    yield from _turns(results)
    yield from _quick(results)
    yield from _starts(results)
    yield from _growth(results)
    yield from _method(results)


def _turns(results: Results) -> Iterator[str]:
    for phase, title in (("warm", "Turns on warm clients"), ("requests", "Against starting clients for each turn")):
        yield f"## {title}"
        yield ""
        if not has(results, phase):
            yield from ("Not measured.", "")
            continue
        yield ("| users | contender | turns | first token p50 | p95 | result p50 | p95 | own processor time per turn |")
        yield "|---|---|---|---|---|---|---|---|"
        for users, contenders in results[phase].items():
            for name, blocks in contenders.items():
                yield f"| {users} | {NAMES[name]} | {_row(blocks)} |"
        yield ""


def _row(blocks: Sequence[Block]) -> str:
    first, result = times(blocks, FIRST), times(blocks, RESULT)
    cells = [_ms(percentile(values, share)) for values in (first, result) for share in (0.5, 0.95)]
    cpu = sum(block["cpu"] for block in blocks) / len(first)
    return " | ".join([str(len(first)), *cells, _ms(cpu)])


def _quick(results: Results) -> Iterator[str]:
    yield "## Turns at an endpoint that answers within a millisecond"
    yield ""
    if not has(results, "floor"):
        yield from ("Not measured.", "")
        return
    yield "| contender | turns | " + " | ".join(f"{what} p50 | p95" for what, _ in QUICK) + " |"
    yield "|---|---|" + "---|---|" * len(QUICK)
    for name, samples in results["floor"].items():
        values = [[sample[place] for sample in samples] for place in range(len(QUICK))]
        cells = [_ms(percentile(one, share)) for one in values for share in (0.5, 0.95)]
        yield f"| {NAMES[name]} | {len(samples)} | {' | '.join(cells)} |"
    yield ""
    yield (
        "Both in one process, turn by turn, each second pair the other way round. Processor time is what that process "
        "has used from the prompt until 20 ms after the result."
    )
    yield ""


def _starts(results: Results) -> Iterator[str]:
    yield "## Starts"
    yield ""
    if not has(results, "cold"):
        yield from ("Not measured.", "")
        return
    yield "| what | starts | first token p50 | p95 | result p50 | p95 |"
    yield "|---|---|---|---|---|---|"
    for kind, timings in results["cold"].items():
        cells = [_ms(percentile([one[place] for one in timings], q)) for place in (0, 1) for q in (0.5, 0.95)]
        yield f"| {STARTS[kind]} | {len(timings)} | {' | '.join(cells)} |"
    yield ""


def _growth(results: Results) -> Iterator[str]:
    yield "## Growth over the soak"
    yield ""
    if not has(results, "soak"):
        yield from ("Not measured.", "")
        return
    soak = results["soak"]
    first, last = soak["samples"][0], soak["samples"][-1]
    yield (
        f"{soak['turns']:,} turns of {soak['users']} users on one supervisor, a sample after every {soak['block']}, "
        "when no turn runs and garbage has been collected. "
        f"{soak['restarts']} clients were ended and started again on the way. "
        f"RSS was {first['rss'] / 2**20:.1f} MiB at the first sample and {last['rss'] / 2**20:.1f} MiB at the last."
    )
    yield ""
    yield "| | slope per 1,000 turns | standard error | counts as none | |"
    yield "|---|---|---|---|---|"
    for name, slope in soak_slopes(results).items():
        verdict = "flat" if slope.is_flat else "**not flat**"
        yield f"| {name} | {slope.slope:+.2f} | {slope.error:.2f} | {slope.allowed:g} | {verdict} |"
    yield ""
    yield (
        f"Least squares; the first {SETTLING:.0%} of the samples are left out, while caches fill. Flat means: not more "
        "than two standard errors above zero, or below what counts as none."
    )
    yield ""


def _method(results: Results) -> Iterator[str]:
    plan = results["plan"]
    yield "## How it was measured"
    yield ""
    yield (
        "Real Claude Code processes on the rehearsal endpoint, which answers at once (twenty words): the model's time "
        "would hide what is measured here. The endpoint and every contender have a process of their own; options, "
        "environment and prompts are the same for all; each has its own configuration directory."
    )
    yield ""
    yield from (f"- {sentence}" for sentence in METHOD)
    yield f"- A block is {plan['turns']} turns of each user."
    yield ""


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.1f} ms"
