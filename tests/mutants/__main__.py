"""Whether the tests notice small mistakes: `python -m tests.mutants --seed 7 --count 40`.

Makes one mistake at a time in a copy of the project, runs the tests that ought to notice, and prints how many were
tried and how many were noticed (killed), with those that were not.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.mutations import Mutation, find_mutations, tell_change
from tests.mutants.targets import TARGETS, check_targets

ROOT = Path(__file__).parents[2]
COPIED = ("supervisor", "templates", "tests", "tui", "pyproject.toml", "README.md", "docs")
UNIT = "tests/unit/"
FAILURE = re.compile(r"^(?:FAILED|ERROR) (tests/[^\s\[]+(?:\[.*?\](?= - |$))?)", re.MULTILINE)
WORST = 1.5
"""A mutant that takes so many times as long as all tests of the unchanged code hangs: that is noticed as well."""
LEAST = 60.0
"""Seconds that every mutant has: the machine may be busy."""


@dataclass
class Tried:
    mutation: Mutation
    verdict: str
    """killed, survived, late (no time was left for it), unsure (the unchanged code took too long just then as well, or
    the test that failed does not fail again: the machine may be why)."""
    change: str
    seconds: float = 0.0
    noticed_by: str = ""


class Bench:
    """Copies of the project, one for each worker, and how long the unchanged code takes in them."""

    def __init__(self, folder: Path, workers: int, deadline: float) -> None:
        self._free: SimpleQueue[Path] = SimpleQueue()
        self._limit = LEAST
        self._deadline = deadline
        self._running: set[subprocess.Popen[str]] = set()
        self._copies = [folder / str(number) for number in range(workers)]

    def warm_up(self, tests: tuple[str, ...]) -> str:
        """Runs them all on the unchanged code. Returns what fails; empty when all is well."""
        first, *others = self._copies
        _copy(first)
        began = time.monotonic()
        code, output = self._run(first, tests, self._deadline - began, compiles=True)
        self._limit = max(LEAST, WORST * (time.monotonic() - began))
        for other in others:
            shutil.copytree(first, other)
        for copy in self._copies:
            self._free.put(copy)
        return "" if code == 0 else output

    def try_out(self, mutation: Mutation, tests: tuple[str, ...]) -> Tried:
        copy = self._free.get()
        file = copy / mutation.module
        before = file.read_text(encoding="utf-8")
        after = mutation.apply(before)
        change = tell_change(mutation.module, before, after)
        began = time.monotonic()
        try:
            limit = self._limit
            file.write_text(after, encoding="utf-8")
            for stage in in_stages(tests):
                left = self._deadline - time.monotonic()
                if left <= 0:
                    return Tried(mutation, "late", change)
                code, output = self._run(copy, stage, min(left, limit))
                seconds = time.monotonic() - began
                if self._deadline == 0 or (code is None and left < limit):
                    return Tried(mutation, "late", change)
                if code == 0:
                    continue
                noticed_by = first_failure(output)
                failed = (noticed_by,) if "::" in noticed_by else stage
                if took_too_long(code, output):
                    file.write_text(before, encoding="utf-8")
                    is_sure = self._passes_now(copy, stage if code is None else failed, limit)
                else:
                    is_sure = noticed_by.startswith(UNIT) or self._run(copy, failed, limit)[0] in (1, None)
                return Tried(mutation, "killed" if is_sure else "unsure", change, seconds, noticed_by)
            return Tried(mutation, "survived", change, time.monotonic() - began)
        finally:
            file.write_text(before, encoding="utf-8")
            self._free.put(copy)

    def _passes_now(self, copy: Path, tests: tuple[str, ...], limit: float) -> bool:
        """Whether the unchanged code passes within `limit` seconds on a machine as busy as it is at this moment.

        Mutants that come later have as much more time as it took.
        """
        began = time.monotonic()
        code, _ = self._run(copy, tests, min(WORST * limit, self._deadline - began))
        seconds = time.monotonic() - began
        self._limit = max(self._limit, WORST * seconds)
        return code == 0 and seconds < limit

    def stop(self) -> None:
        """What runs is ended, and what has not been tried is left out."""
        self._deadline = 0.0
        for process in tuple(self._running):
            _kill(process)

    def _run(
        self, copy: Path, tests: tuple[str, ...], seconds: float, *, compiles: bool = False
    ) -> tuple[int | None, str]:
        """The exit code of pytest, None when it took longer, and what it printed. Nothing it has started is left."""
        # Only the unchanged code is kept compiled: two mutants of one second and size would be taken for each other.
        environment = os.environ | {"PYTHONPATH": str(copy), "TMPDIR": str(copy.parent)}
        environment |= {} if compiles else {"PYTHONDONTWRITEBYTECODE": "1"}
        options = ("-x", "-q", "--timeout=60", "-p", "no:cacheprovider", "-p", "no:xdist")
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, *tests],
            cwd=copy,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._running.add(process)
        try:
            output, _ = process.communicate(timeout=max(1.0, seconds))
            return process.returncode, output
        except subprocess.TimeoutExpired:
            return None, "it took too long"
        finally:
            _kill(process)
            process.wait()
            self._running.discard(process)


def _kill(process: subprocess.Popen[str]) -> None:
    """With everything it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _copy(to: Path) -> None:
    to.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__", "__snapshots__"))
        else:
            shutil.copy2(source, to / name)


def in_stages(tests: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Those without a loop first: most mutants are noticed by them, and to collect the others takes longer than to run
    these."""
    stages = [tuple(one for one in tests if one.startswith(UNIT) is is_first) for is_first in (True, False)]
    return [stage for stage in stages if stage]


def took_too_long(code: int | None, output: str) -> bool:
    """Whether time is all that the mutant failed by: the whole run's, or that which pytest gives each test."""
    return code is None or "Failed: Timeout" in output or "+ Timeout +" in output


def first_failure(output: str) -> str:
    """The test, or the file that could not be read; the last line where pytest names neither."""
    found = FAILURE.search(output)
    return found[1] if found else output.strip().splitlines()[-1][:120]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__, add_help=True)
    parser.add_argument("--seed", type=int, default=None, help="which mutants are chosen; else others each time")
    parser.add_argument("--count", type=int, default=40, help="how many (0: all there are)")
    parser.add_argument("--minutes", type=float, default=20.0, help="for all of it; what is left then is not tried")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="", help="mutate modules with this in their path")
    parser.add_argument("--list", action="store_true", help="print what would be tried")
    given = parser.parse_args()
    check_targets(ROOT)
    tests_of = {module: target.tests for target in TARGETS for module in target.modules if given.only in module}
    found = [
        [one for module in target.modules if module in tests_of for one in find_mutations(ROOT, module)]
        for target in TARGETS
    ]
    seed = random.SystemRandom().randrange(10_000) if given.seed is None else given.seed
    total = sum(map(len, found))
    chosen = choose(found, min(given.count or total, total), random.Random(seed))
    print(f"{len(chosen)} of {total:,} mutants of {len(tests_of)} modules, seed {seed}", flush=True)
    if given.list:
        for one in chosen:
            print(f"{one.module}:{one.place[0]} {one.operator}")
        return 0
    with tempfile.TemporaryDirectory(prefix="bullpen-mutants-") as folder:
        bench = Bench(Path(folder), given.workers, time.monotonic() + 60 * given.minutes)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: bench.stop())
        with ThreadPoolExecutor(given.workers) as pool:
            used = dict.fromkeys(test for mutation in chosen for test in tests_of[mutation.module])
            if broken := pool.submit(bench.warm_up, tuple(used)).result():
                print(broken[-4_000:], "", "the unchanged code did not pass its tests, or was stopped", sep="\n")
                return 2
            tried = list(pool.map(lambda one: _tell(bench.try_out(one, tests_of[one.module])), chosen))
    return _sum_up(tried)


def choose(groups: list[list[Mutation]], count: int, chance: random.Random) -> list[Mutation]:
    """As many of each group as there are: of a long file no more than of a short one."""
    shuffled = [chance.sample(group, len(group)) for group in groups]
    rounds = zip_longest(*shuffled)
    return list(islice((one for each in rounds for one in each if one is not None), count))


def _tell(tried: Tried) -> Tried:
    mutation = tried.mutation
    words = f"{tried.verdict:8} {tried.seconds:4.0f} s  {mutation.module}:{mutation.place[0]} {mutation.operator}"
    # A survivor is shown at once: its test can be written while the others are tried.
    print(f"{words}  {tried.noticed_by}{chr(10) + tried.change if tried.verdict == 'survived' else ''}", flush=True)
    return tried


def _sum_up(tried: list[Tried]) -> int:
    count: Callable[[str], int] = lambda verdict: sum(one.verdict == verdict for one in tried)  # noqa: E731
    survivors = sorted((one for one in tried if one.verdict == "survived"), key=lambda one: one.mutation.place)
    for one in survivors:
        print(f"\n{one.mutation.module}:{one.mutation.place[0]} {one.mutation.operator}\n{one.change}")
    done = count("killed") + count("survived")
    share = f" ({count('killed') / done:.0%})" if done else ""
    print(f"\n{done} tried, {count('killed')} killed{share}, {count('survived')} survived", end="")
    print(f", {count('unsure')} unsure: try them again" if count("unsure") else "", end="")
    print(f", {count('late')} left out: the time was over" if count("late") else "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
