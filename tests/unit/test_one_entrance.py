"""`Instance.handle` is the one entrance: what belongs to an instance is written there, but for what is listed here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import supervisor
from supervisor.instance import stimuli

ROOT = Path(supervisor.__file__).parent
INSIDE = ("instance", "sessions")
"""Rooms whose objects an instance is made of: they are reached through its entrance alone."""
OWNED = {"instance", "core", "session", "slot", "turn", "head", "mailbox", "gist", "conversation", "pool", "client"}
"""What such an object is called."""
CHANGING = {"add_session", "open_session", "remove_session", "set_state", "save", "clear", "append", "note_measure",
            "restore", "put", "take_out", "move", "end", "sleep", "wake", "fade", "adopt", "discard"}  # fmt: skip
"""Methods that change it."""

BEFORE_IT_RUNS = "what an earlier run has left is put into an instance that takes nothing in yet"
READINGS = "what was measured: `MemoryMeasured` follows in the same step, and decisions are made with that"
RECORD = "what is said of a question stands in the conversation; that it is open or over comes as a stimulus"
OUTSIDE = {
    "recovery/takeover.py": BEFORE_IT_RUNS,
    "engine/runtime.py": BEFORE_IT_RUNS,
    "engine/memory_sampler.py": READINGS,
    "engine/question_log.py": RECORD,
    "recovery/offers.py": "`when_recorded` of the turn that it has made itself",
    "scheduling/memory_reserve.py": "`on_change` of the pool: who listens to it",
}
"""File → why it writes there all the same."""


def writes(tree: ast.AST) -> Iterator[str]:
    """`session.offer =`, `instance.core.set_state()`: what the code does to such an object."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del) and _is_owned(node.value):
            yield f"{node.lineno}: {ast.unparse(node)} ="
        call = node.func if isinstance(node, ast.Call) else None
        if isinstance(call, ast.Attribute) and call.attr in CHANGING and _is_owned(call.value):
            yield f"{call.lineno}: {ast.unparse(call)}()"


def _is_owned(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.lstrip("_") in OWNED and not (isinstance(node, ast.Attribute) and node.attr.startswith("_"))


FILES = [path for path in sorted(ROOT.rglob("*.py")) if path.relative_to(ROOT).parts[0] not in INSIDE]


def test_nothing_writes_into_an_instance_beside_its_entrance() -> None:
    found = {str(path.relative_to(ROOT)): [*writes(ast.parse(path.read_text("utf-8")))] for path in FILES}
    assert {name: lines for name, lines in found.items() if lines and name not in OUTSIDE} == {}
    assert not [name for name in OUTSIDE if not found[name]], "no exception that is not needed"


@pytest.mark.parametrize(
    "slip",
    [
        "session.offer = None",
        "self._instances[name].core.set_state(state)",
        "del session.slot",
        "instance.core.waiting_trend += (1,)",
        "session.gist.clear()",
        "turn.is_held, other = False, 1",
    ],
)
def test_the_scan_sees_a_slip(slip: str) -> None:
    assert [*writes(ast.parse(slip))]


def test_every_stimulus_is_taken_by_the_entrance() -> None:
    body = (ROOT / "instance" / "instance.py").read_text("utf-8")
    made = [one for one in vars(stimuli).values() if isinstance(one, type) and issubclass(one, stimuli.Stimulus)]
    concrete = {one.__name__ for one in made} - {"Stimulus", "Fact", "Request"}
    assert len(concrete) > 40
    assert {name for name in concrete if f"case stimuli.{name}(" not in body} == set()
