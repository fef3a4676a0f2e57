"""Ids from outside are never paths, never ambiguous; ours sort by time."""

from __future__ import annotations

import pytest

from supervisor.api.errors import InvalidId
from supervisor.api.ids import ID_LIMIT, new_id, validate_id
from supervisor.text.cleaning import clean


@pytest.mark.parametrize(
    "value", ["a", "alice", "alice@example.org", "+49-151", "u:42", "a.b_c-d", "@bot", "_", "x" * ID_LIMIT]
)
def test_what_people_are_called_is_allowed(value: str) -> None:
    assert validate_id(value, "user") == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x" * (ID_LIMIT + 1),
        "../etc",
        "a..b",
        ".hidden",
        "-rf",
        "a/b",
        "a\\b",
        "a\0",
        "a b",
        "a\n",
        "\x1b[2J",
        "аlice",
        "ａlice",
        "alice\u200b",
        "é",
        "a%2e",
        "~",
        "$HOME",
    ],
)
def test_paths_controls_and_look_alikes_are_refused(value: str) -> None:
    """S3.3-5. The message names the field, shows the id as it was typed, and is clean."""
    with pytest.raises(InvalidId, match=r"^userId ") as raised:
        validate_id(value, "userId")
    assert clean(str(raised.value)) == str(raised.value)
    assert str(raised.value).isprintable()


def test_new_ids_are_unique_short_and_sorted_by_time() -> None:
    made = [new_id() for _ in range(5000)]

    assert made == sorted(set(made))
    assert {len(one) for one in made} == {12}
    assert validate_id(made[0], "turn")
