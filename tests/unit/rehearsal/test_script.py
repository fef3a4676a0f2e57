"""What the endpoint answers is decided by the conversation alone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from supervisor.config.templates import read_templates, shipped_templates
from supervisor.rehearsal import wire
from supervisor.rehearsal.errands import ALARM, ERRANDS
from supervisor.rehearsal.improvisation import CALENDAR, FRIDAY
from supervisor.rehearsal.repertoire import role_for
from supervisor.rehearsal.reply import Cut, Refuse, Reply, Say, Use, Wait, fragments
from supervisor.rehearsal.request import MessagesRequest, parse_request
from supervisor.rehearsal.script import decide

TOOLS = ("Bash", "Write", "AskUserQuestion")
CUT_OFF = "Your response above was cut off mid-stream. Resume directly from where it stops."


def user(*texts: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text} for text in texts]}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def result(text: str, *, is_error: bool = False) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": "t", "content": text, "is_error": is_error}
    return {"role": "user", "content": [block, {"type": "text", "text": "<system-reminder>x</system-reminder>"}]}


def request(*messages: dict[str, Any], tools: tuple[str, ...] = TOOLS, system: str = "") -> MessagesRequest:
    body = {"model": "m", "system": system, "messages": list(messages), "tools": [{"name": n} for n in tools]}
    return parse_request(body, at=0.0)


def spoken(reply: Reply) -> str:
    return "".join(step.text for step in reply if isinstance(step, Say))


def test_the_prompt_is_found_among_what_the_cli_inserts() -> None:
    asked = request(
        user("<system-reminder>Today is\nMonday</system-reminder>", "first"),
        {"role": "system", "content": "# Environment"},
        assistant("part"),
        user("[Request interrupted by user]"),
        user("<system-reminder>a</system-reminder>second", "<system-reminder>b</system-reminder>"),
    )

    assert asked.prompt == "second"
    assert asked.earlier_prompts == ("first",)


def test_the_text_of_a_request_holds_every_string_in_it() -> None:
    """S2.37-46: isolation is proved by what no request of another user contains."""
    asked = request(user("in a prompt"), assistant("in a reply"), result("in a result"), system="in the system")

    for text in ("in a prompt", "in a reply", "in a result", "in the system", "AskUserQuestion"):
        assert text in asked.text


def test_directions_go_on_after_each_tool_result() -> None:
    prompt = user('[[say: one]] [[tool: Bash {"command": "ls"}]] [[say: two]] [[ask: Which? | a | b]] [[say: three]]')

    first = decide(request(prompt), seed=1)
    second = decide(request(prompt, assistant("one"), result("files")), seed=1)
    third = decide(request(prompt, assistant("one"), result("files"), result("a")), seed=1)

    assert [spoken(reply) for reply in (first, second, third)] == ["one", "two", "three"]
    assert first[-1] == Use("Bash", {"command": "ls"})
    assert isinstance(second[-1], Use)
    assert second[-1].tool == "AskUserQuestion"


def test_a_turn_that_ends_with_a_tool_tells_its_result() -> None:
    prompt = user("[[tool: Bash]]")

    assert spoken(decide(request(prompt, result("42 files")), seed=1)) == "The tool returned: 42 files"
    assert "failed: not now" in spoken(decide(request(prompt, result("not now", is_error=True)), seed=1))


def test_a_tool_that_the_request_does_not_offer_is_not_called() -> None:
    reply = decide(request(user("[[tool: Teleport]]")), seed=1)

    assert not any(isinstance(step, Use) for step in reply)
    assert "no tool Teleport" in spoken(reply)
    assert "Bash, Write" in spoken(reply)


def test_recall_and_echo_tell_what_was_sent() -> None:
    conversation = (user("the red bullpen"), assistant("ok"), user("and the dog"), assistant("ok"))

    assert spoken(decide(request(*conversation, user("[[recall]]")), seed=1)) == (
        "I remember:\n\n1. the red bullpen\n2. and the dog"
    )
    assert spoken(decide(request(user("[[recall]]")), seed=1)) == "I remember nothing before this prompt."
    assert spoken(decide(request(user("[[echo]] say  this")), seed=1)) == "say this"


def test_a_fault_with_a_number_ends_after_so_many_attempts() -> None:
    asked = request(user("[[error: 429, 2]] [[say: here]]"))

    replies = [decide(asked, seed=1, attempt=attempt) for attempt in (1, 2, 3)]

    assert replies[:2] == [(Refuse(429),), (Refuse(429),)]
    assert spoken(replies[2]) == "here"


def test_the_rest_of_a_reply_that_was_cut_off_does_not_repeat_its_beginning() -> None:
    prompt = user("[[say: before]] [[cut: 1]] [[say: after]]")

    first = decide(request(prompt), seed=1)
    rest = decide(request(prompt, assistant("before"), user(CUT_OFF)), seed=1, attempt=2)

    assert (spoken(first), first[-1]) == ("before", Cut())
    assert spoken(rest) == "after"


def test_a_mistake_is_explained_in_the_reply() -> None:
    reply = decide(request(user("[[error: soon]] [[say: hello]]")), seed=1)

    assert "400 to 599" in spoken(reply)
    assert "hello" not in spoken(reply)


def test_fragments_joined_are_the_text() -> None:
    for text in ("", "a", " a  b\n\n c ", "one two three four five"):
        assert "".join(fragments(text)) == text
    assert fragments("one two three") == ("one two ", "three")


def _play_turn(messages: list[dict[str, Any]], system: str, tools: tuple[str, ...], seed: int) -> list[Reply]:
    """All replies of one turn, every tool call being allowed."""
    replies: list[Reply] = []
    while not replies or any(isinstance(step, Use) for step in replies[-1]):
        assert len(replies) < 4
        replies.append(decide(request(*messages, tools=tools, system=system), seed=seed))
        messages.extend([assistant(spoken(replies[-1])), result('Answered: "How?"="Train"')])
    return replies


@pytest.mark.parametrize("agent", sorted(ERRANDS))
def test_every_errand_gets_a_reply_that_ends_and_has_no_holes(agent: str) -> None:
    for errand in (*ERRANDS[agent], ALARM):
        for seed in (1, 2, 3):
            for replies in [_play_turn([user(text)], f"You are the {agent}.", TOOLS, seed) for text in errand]:
                for reply in replies:
                    assert spoken(reply).strip()
                    assert "{choice}" not in str(reply)
                    assert "{subject}" not in str(reply)
                    assert "{title}" not in str(reply)
                    assert "{file}" not in str(reply)
                    assert sum(step.seconds for step in reply if isinstance(step, Wait)) < 15


def test_ordinary_replies_are_the_same_again_and_differ_by_seed() -> None:
    asked = [request(user(text), system="helpdesk") for errand in ERRANDS["helpdesk"] for text in errand]

    once, again, other = ([decide(each, seed=seed) for each in asked] for seed in (1, 1, 2))

    assert once == again
    assert once != other


def test_ordinary_replies_use_only_tools_of_the_request() -> None:
    prompts = [text for errands in ERRANDS.values() for errand in errands for text in errand]
    used = {
        step.tool
        for tools in (("Write",), ("Bash",), ("AskUserQuestion",), ())
        for text in prompts
        for step in decide(request(user(text), tools=tools), seed=1)
        if isinstance(step, Use) and step.tool not in tools
    }
    all_used = {
        step.tool
        for text in prompts
        for seed in range(8)
        for step in decide(request(user(text)), seed=seed)
        if isinstance(step, Use)
    }

    assert used == set()
    assert all_used == set(TOOLS)


def test_a_reply_is_about_what_was_asked() -> None:
    reply = decide(
        request(user("Is the coffee machine contract renewed?"), system="You are the admin.", tools=()), seed=3
    )

    assert "coffee machine contract" in spoken(reply).lower()


def test_what_is_rejected_stays_rejected_as_long_as_it_stands_in_the_conversation() -> None:
    """An API looks at the whole conversation, so one prompt it does not take spoils every later one."""
    poison = "[[reject: 400, prompt is too long: 9 tokens > 8 maximum]] word"
    refusal = (Refuse(400, message="prompt is too long: 9 tokens > 8 maximum"),)

    assert decide(request(user(poison)), seed=1) == refusal
    assert decide(request(user(poison), assistant("no"), user("[[say: hello]]")), seed=1) == refusal
    assert spoken(decide(request(user("[[say: hello]]")), seed=1)) == "hello"


def test_a_reply_may_claim_any_usage() -> None:
    asked = request(user(f"[[usage: {2**63}, -1]] [[say: hello]]"))
    reply = decide(asked, seed=1)

    opening = wire.envelope(asked, "0")
    whole = wire.whole_message(opening, reply, "0")
    assert whole["usage"]["input_tokens"] == 2**63
    assert whole["usage"]["output_tokens"] == -1
    assert f'"input_tokens": {2**63}'.encode() in wire.closing_events(opening, reply)


def test_with_a_calendar_appointments_are_entered_and_named_by_their_day() -> None:
    """What the calendar answered is what the colleague says; refused, it is left as it is."""
    prompt = next(
        text
        for number in range(200)
        for text in [f"I need a meeting room for {number} people."]
        if any(isinstance(step, Use) for step in decide(request(user(text), tools=(CALENDAR,)), seed=1))
    )
    (entered,) = (step for step in decide(request(user(prompt), tools=(CALENDAR,)), seed=1) if isinstance(step, Use))
    assert datetime.fromisoformat(entered.input["at"]).weekday() <= FRIDAY
    answer = '{"id": "a1", "at": "2026-05-04T10:00:00", "note": ""}'
    after = request(user(prompt), assistant("Shall I?"), result(answer), tools=(CALENDAR,))
    assert "Monday, 04 May at ten" in spoken(decide(after, seed=1))
    refused = request(user(prompt), assistant("Shall I?"), result("denied", is_error=True), tools=(CALENDAR,))
    assert "leave your calendar as it is" in spoken(decide(refused, seed=1))


@pytest.mark.parametrize("name", ERRANDS)
def test_a_shipped_agent_is_played_by_the_colleague_of_its_name(name: str) -> None:
    """Whatever others its system prompt names, and whatever the CLI adds to that."""
    (template,) = (one.template for one in read_templates(shipped_templates()) if one.file.path.stem == name)
    assert template is not None
    assert role_for(f"{template.system_prompt}\n\nPrimary working directory: /srv/admin", ()).name == name
