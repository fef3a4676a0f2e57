"""Where a conversation on disk is cut so that an unanswered prompt is not sent twice (R2)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from supervisor.transcript import Cut, CutKind, find_cut

ANSWER = {"role": "assistant", "model": "claude-opus-5-5", "stop_reason": "end_turn"}
REFUSAL = {"role": "assistant", "model": "<synthetic>", "stop_reason": "stop_sequence"}
TOOL_CALL = {"role": "assistant", "model": "claude-opus-5-5", "stop_reason": "tool_use"}


def write(path: Path, *said: dict[str, str]) -> Path:
    """A prompt that was answered, the prompt `asked`, and what was said then."""
    entries = [("user", {"role": "user"}), ("assistant", ANSWER), ("user", {"role": "user"})]
    entries += [("assistant", message) for message in said]
    names = ["first", "reply", "asked", *(f"said-{number}" for number in range(len(said)))]
    lines = [
        json.dumps({"type": kind, "uuid": name, "parentUuid": parent, "message": message})
        for name, parent, (kind, message) in zip(names, [None, *names], entries, strict=False)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("said", [(), (TOOL_CALL,), (REFUSAL,), (TOOL_CALL, REFUSAL)])
def test_what_the_cli_says_itself_is_no_answer(tmp_path: Path, said: tuple[dict[str, str], ...]) -> None:
    """R2: the CLI writes "API Error: 529" as a message of the agent, with a stop reason."""
    assert find_cut(write(tmp_path / "t.jsonl", *said), ["asked"]) == Cut(CutKind.AFTER, "reply", "asked")


@pytest.mark.parametrize("said", [(ANSWER,), (TOOL_CALL, ANSWER)])
def test_a_prompt_that_was_answered_after_all_stays(tmp_path: Path, said: tuple[dict[str, str], ...]) -> None:
    assert find_cut(write(tmp_path / "t.jsonl", *said), ["asked"]).kind is CutKind.NONE


def test_a_conversation_summed_up_since_is_cut_behind_its_summary(tmp_path: Path) -> None:
    """What stood before the prompt is not resumed any more: to cut there is refused."""
    path = write(tmp_path / "t.jsonl", REFUSAL)
    summary = {"type": "user", "uuid": "summary", "parentUuid": "x", "isCompactSummary": True, "message": {}}
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], json.dumps(summary), *lines[3:]]) + "\n")
    assert find_cut(path, ["asked"]) == Cut(CutKind.AFTER, "summary", "asked")


def lines(path: Path, *entries: tuple[str, str | None, str, dict[str, object]]) -> Path:
    """uuid, parent, type, and the keys of one entry each."""
    told = [{"uuid": uuid, "parentUuid": parent, "type": kind, **keys} for uuid, parent, kind, keys in entries]
    path.write_text("\n".join(map(json.dumps, told)) + "\n")
    return path


@pytest.mark.parametrize(
    ("between", "cut"),
    [
        ([], Cut(CutKind.AFTER, "reply")),
        ([("lost", "user", {}), ("synthetic", "assistant", {"message": REFUSAL})], Cut(CutKind.AFTER, "reply")),
        ([("lost", "user", {}), ("call", "assistant", {"message": TOOL_CALL})], Cut(CutKind.AFTER, "call")),
        (
            [("lost", "user", {}), ("call", "assistant", {"message": TOOL_CALL}), ("result", "user", {})],
            Cut(CutKind.AFTER, "call"),
        ),
        ([("other", "assistant", {"message": ANSWER, "isSidechain": True})], Cut(CutKind.AFTER, "reply")),
        ([("summary", "user", {"isCompactSummary": True}), ("lost", "user", {})], Cut(CutKind.AFTER, "summary")),
        ([("odd", "assistant", {"message": ["no", "mapping"]})], Cut(CutKind.AFTER, "odd")),
    ],
)
def test_what_the_model_has_not_replied_to_is_cut_with_the_rejected_prompt(
    tmp_path: Path, between: list[tuple[str, str, dict[str, object]]], cut: Cut
) -> None:
    named = [("first", "user", {}), ("reply", "assistant", {"message": ANSWER}), *between, ("asked", "user", {})]
    parents = [None, *(uuid for uuid, _, _ in named)]
    path = lines(
        tmp_path / "t.jsonl",
        *((uuid, parent, kind, keys) for parent, (uuid, kind, keys) in zip(parents, named, strict=False)),
    )
    assert find_cut(path, ["asked"], with_unjudged=True) == cut


@pytest.mark.parametrize("parent", [None, "missing", "asked", "lost"])
def test_where_the_model_has_never_replied_nothing_is_kept(tmp_path: Path, parent: str | None) -> None:
    """A chain that leads nowhere, or in a circle, ends as well."""
    path = lines(tmp_path / "t.jsonl", ("lost", parent, "user", {}), ("asked", "lost", "user", {}))
    assert find_cut(path, ["asked"], with_unjudged=True) == Cut(CutKind.ALL, drops="asked")
