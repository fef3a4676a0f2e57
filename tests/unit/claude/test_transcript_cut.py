"""Where a conversation on disk is cut so that an unanswered prompt is not sent twice (R2)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from supervisor.claude.transcript_cut import CutKind, TranscriptCut, find_cut, find_spent

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
    assert find_cut(write(tmp_path / "t.jsonl", *said), ["asked"]) == TranscriptCut(CutKind.AFTER, "reply", "asked")


@pytest.mark.parametrize("said", [(ANSWER,), (TOOL_CALL, ANSWER)])
def test_a_prompt_that_was_answered_after_all_stays(tmp_path: Path, said: tuple[dict[str, str], ...]) -> None:
    assert find_cut(write(tmp_path / "t.jsonl", *said), ["asked"]).kind is CutKind.NONE


def test_a_conversation_summed_up_since_is_cut_behind_its_summary(tmp_path: Path) -> None:
    """What stood before the prompt is not resumed any more: to cut there is refused."""
    path = write(tmp_path / "t.jsonl", REFUSAL)
    summary = {"type": "user", "uuid": "summary", "parentUuid": "x", "isCompactSummary": True, "message": {}}
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], json.dumps(summary), *lines[3:]]) + "\n")
    assert find_cut(path, ["asked"]) == TranscriptCut(CutKind.AFTER, "summary", "asked")


def lines(path: Path, *entries: tuple[str, str | None, str, dict[str, object]]) -> Path:
    """uuid, parent, type, and the keys of one entry each."""
    told = [{"uuid": uuid, "parentUuid": parent, "type": kind, **keys} for uuid, parent, kind, keys in entries]
    path.write_text("\n".join(map(json.dumps, told)) + "\n")
    return path


@pytest.mark.parametrize(
    ("between", "cut"),
    [
        ([], TranscriptCut(CutKind.AFTER, "reply")),
        (
            [("lost", "user", {}), ("synthetic", "assistant", {"message": REFUSAL})],
            TranscriptCut(CutKind.AFTER, "reply"),
        ),
        ([("lost", "user", {}), ("call", "assistant", {"message": TOOL_CALL})], TranscriptCut(CutKind.AFTER, "call")),
        (
            [("lost", "user", {}), ("call", "assistant", {"message": TOOL_CALL}), ("result", "user", {})],
            TranscriptCut(CutKind.AFTER, "call"),
        ),
        ([("other", "assistant", {"message": ANSWER, "isSidechain": True})], TranscriptCut(CutKind.AFTER, "reply")),
        (
            [("summary", "user", {"isCompactSummary": True}), ("lost", "user", {})],
            TranscriptCut(CutKind.AFTER, "summary"),
        ),
        ([("odd", "assistant", {"message": ["no", "mapping"]})], TranscriptCut(CutKind.AFTER, "odd")),
    ],
)
def test_what_the_model_has_not_replied_to_is_cut_with_the_rejected_prompt(
    tmp_path: Path, between: list[tuple[str, str, dict[str, object]]], cut: TranscriptCut
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
    assert find_cut(path, ["asked"], with_unjudged=True) == TranscriptCut(CutKind.ALL, drops="asked")


ODD_LINES = [
    b"[" * 100_000,
    b'{"uuid": ' + b"[" * 3_000 + b"]" * 3_000 + b"}",
    b'{"uuid": ["list"]}',
    b'{"uuid": {"a": 1}, "parentUuid": {"a": 1}}',
    b'{"uuid": 7}',
    b'{"uuid": "big", "parentUuid": 1e999, "message": ' + b"9" * 10_000 + b"}",
    b'{"uuid": "odd", "type": "assistant", "message": ["list"]}',
    b'{"uuid": "\\ud800", "message": {"stop_reason": ["list"]}}',
    b"\x00\xff\xfe",
    b'"text"',
    b"null",
    b"{" + b" " * 3_000_000 + b"}",
]


def test_odd_lines_of_a_transcript_are_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", REFUSAL)
    expected = find_cut(path, ["asked"])
    written = path.read_bytes()
    for odd in ODD_LINES:
        path.write_bytes(b"\n".join([odd, *(line + b"\n" + odd for line in written.splitlines())]))
        assert find_cut(path, ["asked"]) == expected, odd[:60]


@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "dangling"])
def test_a_transcript_that_is_no_plain_file_is_an_error_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "t.jsonl"
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")
        case _:
            path.symlink_to(tmp_path / "nowhere")
    for look in (lambda: find_cut(path, ["asked"]), lambda: find_spent(path)):
        with pytest.raises(OSError, match=str(tmp_path)):
            look()


def test_a_saved_cost_that_is_no_entry_is_none_or_unknown(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('[1, {"type":"cost-state"}]\n')
    assert find_spent(path) == 0.0
    path.write_text('{"type":"cost-state", "totalCostUSD": ' + "[" * 3_000 + "]" * 3_000 + "}\n")
    with pytest.raises(ValueError, match="nested"):
        find_spent(path)
