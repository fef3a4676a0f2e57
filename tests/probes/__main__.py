"""The command line: `python -m tests.probes`. Exit status 1 when something is not as it was."""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import anyio

from supervisor.process.executable import find_bundled_cli
from supervisor.rehearsal import Rehearsal
from tests.isolation import isolate
from tests.probes import files, sessions, tools, turns  # noqa: F401 - they register their probes
from tests.probes.bench import Bench
from tests.probes.probe import PROBES, Finding, Probe

LIMIT = 30.0
"""Seconds of one probe. What takes longer is a finding, and holds up nobody."""
PACE = 0.25
"""Of scripted delays."""


def main() -> int:
    isolate()
    parser = argparse.ArgumentParser(prog="python -m tests.probes", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    parser.add_argument("--cli", type=Path, help="ask this CLI instead of the one that the SDK brings along")
    parser.add_argument("--list", action="store_true", help="only name the probes")
    options = parser.parse_args()
    chosen = [probe for probe in PROBES if not options.names or probe.name in options.names]
    if unknown := set(options.names) - {probe.name for probe in PROBES}:
        parser.error(f"there is no probe {', '.join(sorted(unknown))}; --list names them")
    if options.list:
        print("\n".join(f"{probe.name:<20} {probe.fact}" for probe in chosen))
        return 0
    logging.disable(logging.CRITICAL)
    print(f"claude-agent-sdk {importlib.metadata.version('claude-agent-sdk')}, CLI {version(options.cli)}", flush=True)
    findings = anyio.run(look, chosen, options.cli)
    changed = [finding for finding in findings if not finding.is_same]
    seconds = sum(finding.seconds for finding in findings)
    print(
        f"\n{len(findings)} facts in {seconds:.0f} s: {len(findings) - len(changed)} as before, {len(changed)} CHANGED"
    )
    if changed:
        print("docs/why.md and what was built on these may have to change: " + ", ".join(f.probe.name for f in changed))
    return 1 if changed else 0


def version(cli: Path | None) -> str:
    found = cli or find_bundled_cli()
    if found is None:
        return "none"
    answer = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=30, check=False)
    return answer.stdout.strip() or f"{found} does not say its version"


async def look(probes: Sequence[Probe], cli: Path | None = None) -> list[Finding]:
    """One after the other: several at once would measure each other."""
    findings = []
    with tempfile.TemporaryDirectory(prefix="bullpen-probes-", ignore_cleanup_errors=True) as folder:
        async with Rehearsal(pace=PACE, keep=10_000) as rehearsal:
            for probe in probes:
                findings.append(await examine(probe, rehearsal, Path(folder) / probe.name, cli))
                print(line(findings[-1]), flush=True)
    return findings


async def examine(probe: Probe, rehearsal: Rehearsal, folder: Path, cli: Path | None = None) -> Finding:
    """What this probe finds. Its failure is a finding too, and whatever it has started is ended."""
    bench = Bench(rehearsal, folder, cli)
    began = time.monotonic()
    limit = probe.limit or LIMIT
    found = f"nothing within {limit:g} s"
    try:
        with anyio.move_on_after(limit):
            found = await probe.look(bench)
    except Exception as error:
        while isinstance(error, BaseExceptionGroup) and error.exceptions:
            error = error.exceptions[0]
        found = f"{type(error).__name__}: {error}"
    finally:
        bench.clear()
    return Finding(probe, found, time.monotonic() - began)


def line(finding: Finding) -> str:
    mark = "same   " if finding.is_same else "CHANGED"
    text = f"{mark} {finding.seconds:4.1f} s  {finding.probe.name:<20} {finding.probe.fact}: {finding.probe.expected}"
    if finding.is_same:
        return text
    return f"{text}\n                {'found now':<20} {textwrap.shorten(finding.found, 200)}"


if __name__ == "__main__":
    sys.exit(main())
