"""The reckoning in figures, and every finding in words."""

from __future__ import annotations

from tests.chaos.audit import OUTCOMES, Reckoning
from tests.chaos.director import Run


def print_table(run: Run, reckoning: Reckoning, losses: int, seconds: float) -> None:
    rows = {"accepted": reckoning.accepted} | {word: reckoning.outcomes[word] for word in OUTCOMES}
    width = max(map(len, reckoning.must_be_empty))
    for name, number in rows.items():
        print(f"{name:<{width}}  {number:>5}")
    for name, findings in reckoning.must_be_empty.items():
        print(f"{name:<{width}}  {len(findings):>5}  {'must be 0' if not findings else 'MUST BE 0'}")
    happened = ", ".join(f"{number} {name}" for name, number in sorted(run.faults.items()))
    print(f"\nfaults: {happened or 'none'}")
    print(
        f"{len(run.record)} requests; {len(run.ledger.refused)} prompts refused; "
        f"{run.ledger.decided['replayed']} interrupted turns replayed, {run.ledger.decided['dropped']} dropped; "
        f"{losses} contexts lost and said so; {seconds:.0f} s"
    )
    for name, findings in reckoning.must_be_empty.items():
        for finding in findings:
            print(f"{name}: {finding}")
