"""What is decided on is shown whole: nothing hidden, nothing cut, nothing in the place of something else."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.api.questions import Choose
from supervisor.permissions.call_details import MOST_SHOWN, Particulars, examine, lay_out
from supervisor.permissions.requests import ToolRequest
from supervisor.permissions.tool_calls import call_of, find_flaw, summarize, to_input
from supervisor.text.cleaning import clean, find_unseen
from supervisor.text.visible import show

TEXT = st.text(st.characters(), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT, lambda of: st.lists(of) | st.dictionaries(TEXT, of)
)


def look(tool: str, workspace: Path | None = None, /, **arguments: Any) -> Particulars:
    return examine(ToolRequest(tool, arguments), workspace, ())


@settings(max_examples=30)
@given(st.dictionaries(TEXT, JSON, max_size=4))
def test_whatever_an_agent_sends_is_shown_without_a_character_that_hides(arguments: dict[str, Any]) -> None:
    found = look("mcp__any__tool", None, **{f"_{name}": value for name, value in arguments.items()})

    assert not find_unseen(found.detail.replace("\n", "").replace("\t", ""))
    assert clean(found.detail) == found.detail


def test_a_long_command_is_shown_to_its_last_character() -> None:
    command = "\n".join(f"echo {number}" for number in range(20_000)) + "\nrm -rf /the/end"
    found = look("Bash", command=command)

    assert found.detail.endswith("rm -rf /the/end")
    assert len(found.detail.split("\n")) == 20_002
    assert found.rule is not None
    assert found.rule.words == f"Bash: {command}"


def test_what_is_too_large_to_be_shown_is_not_shown_cut() -> None:
    assert look("Bash", command="x" * (MOST_SHOWN + 1)).too_large > MOST_SHOWN
    assert look("Bash", command="\x1b" * (MOST_SHOWN - 100)).too_large > MOST_SHOWN
    assert not look("Bash", command="x" * (MOST_SHOWN - 100)).too_large


@pytest.mark.parametrize(
    ("command", "shown", "warning"),
    [
        ("ls\u202e\u200b", "ls⟨U+202E⟩⟨U+200B⟩", "RIGHT-TO-LEFT OVERRIDE"),
        ("ls\x1b[2K\rls", "ls⟨ESC⟩[2K⟨CR⟩ls", "⟨ESC⟩"),
        ("ls" + " " * 500 + "; rm -rf .", "ls⟨500 spaces⟩; rm -rf .", "Long runs of blanks"),
        ("ls" + "\n" * 40 + "rm -rf .", "⟨39 empty lines⟩", "Long runs of blanks"),
        ("ls \\ \nrm x", "\\⟨1 space⟩", ""),
        ("e" + "\u0301" * 60, "⟨U+0301⟩⟨U+0301⟩", "52 × ⟨U+0301⟩ COMBINING ACUTE ACCENT"),
        ("cur\u0456 x", "cur\u0456 x", "CYRILLIC SMALL LETTER BYELORUSSIAN-UKRAINIAN I"),
        ("\uff52\uff4d x", "\uff52\uff4d x", "FULLWIDTH LATIN SMALL LETTER R"),
        ("rm\u00a0x", "rm⟨U+00A0⟩x", "NO-BREAK SPACE"),
    ],
)
def test_tricks_that_show_less_than_runs_are_shown_and_warned_of(command: str, shown: str, warning: str) -> None:
    found = look("Bash", command=command)

    assert shown in found.detail
    assert warning in " · ".join(found.warnings)
    assert bool(found.warnings) == bool(warning)


def test_harmless_text_has_no_warning(tmp_path: Path) -> None:
    found = look("Write", tmp_path, file_path=str(tmp_path / "Übersicht.md"), content="Привет, naïve 日本 😀\n\tend\n")

    assert found.warnings == ()
    assert "Привет, naïve 日本 😀" in found.detail


def test_no_line_of_a_text_looks_like_another_argument() -> None:
    found = look("Bash", command="ls\ndescription: harmless", description="harmless")

    assert found.detail == "command:\n  ls\n  description: harmless\ndescription: harmless"
    assert lay_out({"a\nb": "x"}) == "a⟨LF⟩b: x"


def test_contents_and_commands_are_shown_as_they_are_wherever_the_workspace_lies(tmp_path: Path) -> None:
    command = f"cp {tmp_path}/a {tmp_path}/../b"

    assert command in look("Bash", tmp_path, command=command).detail
    assert summarize("Bash", {"command": command}, tmp_path) == command
    assert summarize("Write", {"file_path": f"{tmp_path}/a.md", "content": "x"}, tmp_path) == "a.md"


def test_a_description_never_stands_for_the_command_and_no_argument_hides_another() -> None:
    assert summarize("Bash", {"description": "Lists files", "command": "rm -rf ."}) == "rm -rf ."
    words = summarize("Bash", {"command": "ls", "dangerouslyDisableSandbox": True})
    assert words == "ls (with dangerouslyDisableSandbox)"
    words = summarize("mcp__ops__run", {"command": "ls", "host": "production"})
    assert "ls" in words
    assert "production" in words
    cut = summarize("Bash", {"command": "x" * 500, "timeout": 5})
    assert cut.endswith("… (with timeout)")


def test_a_call_of_any_other_tool_is_told_in_words_and_no_value_passes_for_another_argument() -> None:
    told = summarize("mcp__bullpen__reserve", {"room": "Room 9", "seats": 4, "at": "09:30", "for": ["ana", "ben"]})
    assert told == 'room: Room 9, seats: 4, at: 09:30, for: ["ana", "ben"]'
    assert summarize("mcp__ops__pay", {"to": "ana, amount: 5", "amount": 900}) == 'to: "ana, amount: 5", amount: 900'
    assert summarize("mcp__ops__pay", {"a: 1, b": " x ", "to:": "to:"}) == '"a: 1, b": " x ", "to:": "to:"'
    assert summarize("mcp__ops__now", {}) == ""


def test_a_write_is_shown_as_content_and_as_a_diff(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\ntwo\nthree\n")
    found = look("Write", tmp_path, file_path=str(tmp_path / "a"), content="one\n2\u200b\nthree\n")

    assert found.diff == "@@ -1,3 +1,3 @@\n one\n-two\n+2⟨U+200B⟩\n three"
    assert "content:\n  one\n  2⟨U+200B⟩\n  three" in found.detail


def test_an_edit_is_shown_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("".join(f"line {number}\n" for number in range(100)))
    edit = {"old_string": "line 50\n", "new_string": "line fifty\n"}
    found = look("Edit", tmp_path, file_path=str(tmp_path / "a"), **edit)

    assert "-line 50\n+line fifty" in found.diff
    assert len(found.diff.split("\n")) == 9
    many = look(
        "MultiEdit", tmp_path, file_path=str(tmp_path / "a"), edits=[edit, {"old_string": "line 7\n", "new_string": ""}]
    )
    assert "-line 7\n" in many.diff
    assert "+line fifty" in many.diff


@pytest.mark.parametrize(
    ("edit", "note"),
    [
        ({"old_string": "nine", "new_string": "x"}, "does not occur"),
        ({"old_string": "o", "new_string": "x"}, "occurs 2 times"),
        ({"old_string": "one", "new_string": 7}, "no text new_string"),
        ({}, "no text old_string"),
    ],
)
def test_an_edit_that_cannot_be_made_says_why(tmp_path: Path, edit: dict[str, Any], note: str) -> None:
    (tmp_path / "a").write_text("one\ntwo\n")
    found = look("Edit", tmp_path, file_path=str(tmp_path / "a"), **edit)

    assert note in " ".join(found.notes)
    assert found.diff == ""


def test_a_file_that_cannot_be_read_is_no_reason_to_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "large").write_bytes(b"a" * 2_000_001)
    for name, note in (("pipe", "no plain file"), ("binary", "no UTF-8"), ("large", "too many"), ("", "no plain file")):
        found = look("Write", tmp_path, file_path=str(tmp_path / name) if name else "/dev/zero", content="x")
        assert note in " ".join(found.notes)
        assert "content: x" in found.detail


def test_a_path_that_leads_elsewhere_is_warned_of(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (tmp_path / "secret").write_text("old\n")
    os.symlink(tmp_path / "secret", own / "harmless.md")
    found = look("Write", own, file_path=str(own / "harmless.md"), content="x\n")

    assert found.warnings == (f"The path leads to {tmp_path / 'secret'}", "It is outside this session's workspace")
    assert found.diff == "@@ -1,1 +1,1 @@\n-old\n+x"


def test_a_file_in_the_folder_that_sessions_share_is_where_it_belongs(tmp_path: Path) -> None:
    own, shared = tmp_path / "own", tmp_path / "shared"
    own.mkdir()
    shared.mkdir()
    call = {"file_path": str(shared / "notes.md"), "content": "x\n"}

    assert examine(ToolRequest("Write", call, folders=(shared,)), own, ()).warnings == ()
    assert examine(ToolRequest("Write", call), own, ()).warnings == ("It is outside this session's workspace",)


def test_a_switch_that_is_off_is_not_told_as_if_it_were_on() -> None:
    edit = {"file_path": "a", "old_string": "x", "new_string": "y"}

    assert "replace_all" in summarize("Edit", {**edit, "replace_all": True})
    assert "replace_all" not in summarize("Edit", {**edit, "replace_all": False})


@pytest.mark.parametrize(
    "content",
    [
        "x\n" * 450_000,
        "\x1b" * 100_000,
        " \n" * 450_000,
        "e" + "\u0301" * 200_000,
        "".join(f"{n % 977}\n" for n in range(200_000)),
    ],
    ids=["lines", "escapes", "blanks", "marks", "odd lines"],
)
def test_a_large_file_stays_fast(tmp_path: Path, content: str) -> None:
    (tmp_path / "a").write_text("".join(f"{number % 991}\n" for number in range(200_000)))
    began = time.process_time()
    found = look("Write", tmp_path, file_path=str(tmp_path / "a"), content=content)

    assert time.process_time() - began < 5.0
    assert not found.too_large


def test_approving_a_plan_says_what_it_changes() -> None:
    found = look("ExitPlanMode", plan="1. delete everything", allowedPrompts=[{"tool": "Bash", "prompt": "rm"}])

    assert "the permission mode becomes default" in found.notes[0]
    assert "allowedPrompts" in found.warnings[0]
    assert found.rule is None
    assert "1. delete everything" in found.detail


def test_a_request_without_content_has_words_for_the_agent() -> None:
    for request in (ToolRequest(""), ToolRequest(" "), ToolRequest("Bash"), ToolRequest("Bash", {"command": " "})):
        assert find_flaw(request)
    assert not find_flaw(ToolRequest("mcp__x__list"))


def test_answers_reach_the_agent_under_its_own_texts() -> None:
    asked = {"questions": [{"question": "Which\u200b?", "options": [{"label": "r\u202eed"}]}]}
    answered = to_input(ToolRequest("AskUserQuestion", asked), Choose({"Which⟨U+200B⟩?": "r⟨U+202E⟩ed"}))

    assert answered == {**asked, "answers": {"Which\u200b?": "r\u202eed"}}


def test_two_calls_are_the_same_only_to_the_letter() -> None:
    assert call_of(ToolRequest("A", {"x": 1, "y": 2})) == call_of(ToolRequest("A", {"y": 2, "x": 1}))
    assert call_of(ToolRequest("A", {"x": "1"})) != call_of(ToolRequest("A", {"x": 1}))
    assert call_of(ToolRequest("A", {"x": "a\u200b"})) != call_of(ToolRequest("A", {"x": "a"}))


@given(TEXT)
def test_showing_a_text_leaves_nothing_for_cleaning(text: str) -> None:
    assert clean(show(text)) == show(text)


@pytest.mark.parametrize("hidden", ["\u200b", "\u202e", "\x1b[31m"])
def test_questions_and_options_that_look_the_same_are_sent_back_to_the_agent(hidden: str) -> None:
    """Answers go by the text as it is shown: one answer would count for both."""
    two, one = [{"label": "yes"}, {"label": "no"}], f"Sure{hidden}?"

    def flaw(*questions: dict[str, object]) -> str:
        return find_flaw(ToolRequest("AskUserQuestion", {"questions": list(questions)}))

    assert not flaw({"question": one, "options": two}, {"question": "Sure?", "options": two})
    assert "same text" in flaw({"question": one, "options": two}, {"question": show(one), "options": two})
    assert "same label" in flaw({"question": one, "options": [{"label": one}, {"label": show(one)}]})
    assert "same label" in flaw({"question": one, "options": [{"label": "yes"}, {"label": "yes", "description": "x"}]})


def nested(levels: int, *, in_mappings: bool) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = {"a": value} if in_mappings else [value]
    return value


@pytest.mark.parametrize("levels", [200, 3_000])
@pytest.mark.parametrize("in_mappings", [False, True])
def test_a_call_nested_deeper_than_can_be_read_is_denied_in_words_and_shown_as_such(
    levels: int, in_mappings: bool
) -> None:
    arguments = {"x": nested(levels, in_mappings=in_mappings)}
    for tool in ("mcp__any__tool", "Write", "Bash"):
        assert "100 levels" in find_flaw(ToolRequest(tool, {"command": "ls", "file_path": "a", **arguments}))
    assert "100 levels" in summarize("mcp__any__tool", arguments)
    assert "100 levels" in lay_out(arguments)


def test_a_call_with_as_many_levels_as_can_be_read_is_put() -> None:
    request = ToolRequest("mcp__any__tool", {"x": nested(90, in_mappings=True)})
    assert not find_flaw(request)
    assert summarize(request.tool, request.arguments)
