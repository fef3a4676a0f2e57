"""The stage directions are read as written, and mistakes are named."""

from __future__ import annotations

import pytest

from supervisor.rehearsal.directions import Echo, Essay, Fail, Recall, read_directions
from supervisor.rehearsal.reply import Cut, Refuse, Say, Stall, Use, Wait


def test_directions_are_read_in_order_and_the_rest_is_plain_text() -> None:
    staged = read_directions("Good [[slow: 2]] day [[say: Hello there]]\n[[markdown]][[echo]] [[ recall ]]!")

    assert [type(direction) for direction in staged.directions] == [Wait, Say, Essay, Echo, Recall]
    assert staged.directions[0] == Wait(2.0)
    assert staged.plain == "Good day !"
    assert staged.mistakes == ()


def test_tool_input_may_hold_brackets_of_its_own() -> None:
    staged = read_directions('[[tool: Write {"file_path": "a]].md", "rows": [[1, 2], [3]]}]] [[say: done]]')

    use = staged.directions[0]
    assert isinstance(use, Use)
    assert (use.tool, use.input) == ("Write", {"file_path": "a]].md", "rows": [[1, 2], [3]]})
    assert [len(scene) for scene in staged.scenes] == [1, 1]


def test_stream_has_so_many_words_and_a_gap() -> None:
    (direction,) = read_directions("[[stream: 40 words, 0.05]]").directions

    assert isinstance(direction, Say)
    assert len(direction.text.split()) == len(direction.fragments) == 40
    assert direction.gap == 0.05


def test_ask_becomes_one_question_with_its_options() -> None:
    (direction,) = read_directions("[[ask: Which colour? | red | blue]]").directions

    assert isinstance(direction, Use)
    (item,) = direction.input["questions"]
    assert direction.tool == "AskUserQuestion"
    assert item["question"] == "Which colour?"
    assert [option["label"] for option in item["options"]] == ["red", "blue"]
    assert 0 < len(item["header"]) <= 12


def test_faults_happen_always_or_a_number_of_times() -> None:
    staged = read_directions("[[error: 429]] [[error: 529, 2]] [[stall]] [[cut: 1]] [[cut: 2, half a]]")

    assert staged.directions == (
        Fail(Refuse(429)),
        Fail(Refuse(529), 2),
        Fail(Stall()),
        Fail(Cut(), 1),
        Fail(Cut("half a"), 2),
    )


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("[[dance]]", "no direction 'dance'"),
        ("[[say: ]]", "needs a text"),
        ("[[say: for ever", "never closed"),
        ("[[slow: soon]]", "not a number of seconds"),
        ("[[slow: -1]]", "not a number of seconds"),
        ("[[slow: nan]]", "not a number of seconds"),
        ("[[stream: 0 words]]", "1 to"),
        ("[[tool: Bash {broken}]]", "not JSON"),
        ("[[tool: Bash 3]]", "must be a JSON object"),
        ("[[ask: Which? | red]]", "2 to 4"),
        ("[[ask: Which? | red | red]]", "different"),
        ("[[error: 200]]", "400 to 599"),
        ("[[cut: never]]", "number of times"),
        ("[[reject: 500]]", "400 to 499"),
        ("[[usage: many]]", "input and output tokens"),
        ("[[echo: this]]", "no argument"),
    ],
)
def test_a_mistake_says_what_is_wrong(prompt: str, reason: str) -> None:
    (mistake,) = read_directions(prompt).mistakes

    assert reason in mistake.reason
    assert mistake.direction.startswith("[[")


@pytest.mark.parametrize("prompt", ["", "a[0][1] = [[1, 2], [3, 4]]", "[[", "[x](y) [[ ]]"])
def test_brackets_that_are_no_directions_are_left_alone(prompt: str) -> None:
    assert read_directions(prompt).directions == ()
