"""The command line: `python -m tests.chaos`. Exit status 1 when a figure that must be 0 is not."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import anyio

from tests.chaos.audit import examine, find_unhooked
from tests.chaos.books import read_books
from tests.chaos.director import Plan, direct
from tests.chaos.leftovers import end_leaked
from tests.chaos.table import print_table
from tests.isolation import isolate

SECONDS_PER_KILL = 20.0
"""From one end of the supervisor to the next, in a run of the usual length."""


def main() -> int:
    isolate()
    options = parse_options()
    began = time.monotonic()
    folder = Path(options.folder or tempfile.mkdtemp(prefix="bullpen-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        sys.exit(f"{folder} is not empty: a run keeps its own records only")
    plan = make_plan(options, folder)
    print(f"chaos: seed {plan.seed}, {plan.sessions} sessions, {plan.seconds:g} s", flush=True)
    try:
        run = anyio.run(direct, plan)
    finally:
        leaked = end_leaked(folder)
    books = read_books(run.journal)
    reckoning = examine(run.ledger, books, run.record, run.config_dir)
    reckoning.leaked += leaked
    reckoning.failures += run.overtime
    reckoning.unhooked += find_unhooked(books, run.hooked, run.journal)
    print_table(run, reckoning, len(books.losses), time.monotonic() - began)
    if not reckoning.is_clean:
        print(f"what it left behind is in {folder}")
        return 1
    if not options.folder:
        shutil.rmtree(folder)
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of callers and faults (default: %(default)s)")
    parser.add_argument("--sessions", type=int, default=12, help="that callers use (default: %(default)s)")
    parser.add_argument(
        "--kills", type=int, help="ends of the supervisor, by KILL or by signals (default: one in 20 s)"
    )
    parser.add_argument("--seed", type=int, help="of prompts and faults; timing is real (default: a new one)")
    parser.add_argument(
        "--quick", action="store_true", help="the short form: 8 sessions, 10 s, one kill, one burst of signals"
    )
    parser.add_argument("--folder", help="where state, transcripts and logs go (default: a temporary one)")
    return parser.parse_args()


def make_plan(options: argparse.Namespace, folder: Path) -> Plan:
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    if options.quick:
        return Plan(folder, seed)
    kills = int(options.seconds // SECONDS_PER_KILL) if options.kills is None else options.kills
    return Plan(folder, seed, options.sessions, options.seconds, kills)


if __name__ == "__main__":
    sys.exit(main())
