"""What a turn costs with bullpen around it: turn by turn against a bare SDK client of the same options in one process,
at an endpoint that answers within a millisecond.

    python -m benchmarks.floor              # a minute
    python -m benchmarks.floor --json       # raw results, for the page

Both are measured under the same moment's load, each pair a ratio of its own: what is reported is the median ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio

from benchmarks.contenders import Bullpen, Contender, Floor, Stage
from benchmarks.figures import QUICK, paired_ratio, percentile
from benchmarks.worker import Child
from supervisor import pace_interpreter

TEXT = "Tell me something."
"""Every prompt: the endpoint does not read it."""
SETTLING = 0.02
"""Seconds after a turn in which what it still causes is counted: the idle sign comes 1-5 ms after the Result."""
WARM_UP = 20
"""Pairs that are not counted."""
PAIRS = 300


async def measure(pairs: int) -> dict[str, Any]:
    """`bullpen` and `floor`: a sample (`figures.QUICK`, in seconds) of each turn, those at the same place measured one
    after the other, each second pair the other way round."""
    with tempfile.TemporaryDirectory(prefix="bullpen-floor-", ignore_cleanup_errors=True) as folder:
        async with Child("benchmarks.quick_endpoint") as endpoint, anyio.create_task_group() as tasks:
            url = await endpoint.read_line(60)
            async with AsyncExitStack() as ends:
                contenders: list[Contender] = []
                for kind in (Bullpen, Floor):
                    place = Path(folder) / kind.name
                    place.mkdir()
                    contenders.append(kind(Stage(url, place, users=1)))
                    await contenders[-1].open(tasks, ends)
                pace_interpreter()
                samples = await _take_turns(contenders, pairs)
            tasks.cancel_scope.cancel()
    return samples


async def _take_turns(contenders: Sequence[Contender], pairs: int) -> dict[str, Any]:
    found: dict[str, list[tuple[float, ...]]] = {one.name: [] for one in contenders}
    for number in range(-WARM_UP, pairs):
        for contender in contenders if number % 2 else reversed(contenders):
            sample = await _take_turn(contender)
            if number >= 0:
                found[contender.name].append(sample)
    return found


async def _take_turn(contender: Contender) -> tuple[float, float, float]:
    used = time.process_time()
    timing = await contender.turn(contender.users[0], TEXT)
    await anyio.sleep(SETTLING)
    return timing.first, timing.result, time.process_time() - used


def describe(found: dict[str, Any]) -> str:
    lines = [f"{'':30}{'bullpen':>10}{'bare':>10}   ratio of each pair, p50 (95 %)"]
    for place, (name, _) in enumerate(QUICK):
        mine, floor = ([sample[place] for sample in found[who]] for who in ("bullpen", "floor"))
        ratio, low, high = paired_ratio(mine, floor)
        middle = "".join(f"{percentile(values, 0.5) * 1000:7.2f} ms" for values in (mine, floor))
        lines.append(f"{name:30}{middle}   {ratio:.3f} ({low:.3f}-{high:.3f})")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.floor", description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=PAIRS, help="turns of each; default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print raw results")
    chosen = parser.parse_args()
    found = anyio.run(measure, chosen.pairs)
    print(json.dumps(found) if chosen.json else describe(found), flush=True)
    if not chosen.json:
        print(f"{chosen.pairs} pairs, load {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
