"""What crosses from one process to another, or to the disk, comes back as it was."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from supervisor.api import errors
from supervisor.api.checks import check_answer
from supervisor.api.codec import (
    FAMILIES,
    pack,
    pack_error,
    pack_fragment,
    reader_of,
    unpack,
    unpack_error,
    unpack_fragment,
)
from supervisor.api.engine import ConversationReader, Engine, FeedReader, Ticket
from supervisor.api.entries import StartsAgain
from supervisor.api.errors import BullpenError, ConfigurationError, Saturated
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done, Failed, Outcome
from supervisor.api.prompts import Prompt, Route
from supervisor.api.questions import Choose
from supervisor.api.snapshot import DiskUse
from tests.unit.api.contract import MODULES, STAYS, fields_of, is_named, kinds

QUICK = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))

ERRORS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, BullpenError)
]  # fmt: skip


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
@QUICK
@given(data=st.data())
def test_every_type_of_the_contract_comes_back_exactly_as_it_was(kind: type, data: st.DataObject) -> None:
    family = next((family for family, words in FAMILIES.items() if kind in words), kind)
    value = data.draw(fields_of(kind))
    packed = pack(value)
    back = unpack(family, packed)
    assert (type(back), back) == (type(value), value)
    assert pack(back) == packed, "and every value in it as the same type"


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
@settings(QUICK, max_examples=1)
@given(data=st.data())
def test_no_type_of_the_contract_can_be_changed_once_it_is_made(kind: type, data: st.DataObject) -> None:
    if not is_named(kind):
        value = data.draw(fields_of(kind))
        with pytest.raises(AttributeError):
            setattr(value, next(iter(get_type_hints(kind)), "name"), None)
    for name, hint in get_type_hints(kind).items():
        assert not any(origin in (list, dict, set) for origin in origins(hint)), f"{name} can be changed in place"


def test_only_what_is_there_is_said_to_stay() -> None:
    there = {
        name
        for module in MODULES
        for name, kind in vars(module).items()
        if isinstance(kind, type) and issubclass(kind, Struct)
    }
    assert there >= STAYS.keys()


def test_what_is_in_a_value_that_has_crossed_cannot_be_changed_either() -> None:
    for value in (Choose({"Which colour?": "green"}), DiskUse(1, 1, 1, 1, 1, {"a": 1})):
        back = unpack(type(value), pack(value))
        held = next(one for one in (getattr(back, name) for name in vars_of(back)) if isinstance(one, Mapping))
        with pytest.raises(TypeError):
            held["another"] = 2


def test_an_answer_is_taken_as_any_mapping_and_does_not_change_with_it() -> None:
    given = {"Which colour?": "green"}
    for answers in (given, MappingProxyType(given)):
        checked = check_answer(Choose(answers))
        assert checked == Choose({"Which colour?": "green"})
    given["Which colour?"] = "red"
    assert checked == Choose({"Which colour?": "green"})


def vars_of(value: Any) -> tuple[str, ...]:
    return tuple(value.__struct_fields__)


def origins(hint: Any) -> set[Any]:
    return {get_origin(hint) or hint}.union(*map(origins, get_args(hint)))


def test_each_kind_has_a_word_of_its_own() -> None:
    for family, words in FAMILIES.items():
        assert len(set(words.values())) == len(words)
        members = get_args(family) or [kind for kind in kinds() if issubclass(kind, family) and kind is not family]
        assert set(members) <= set(words), family


def test_whatever_a_method_of_the_contract_takes_or_gives_can_cross() -> None:
    """Readers and tickets are opened on the other side; what they give can cross as well."""
    opened = {FeedReader, ConversationReader, Ticket}
    for protocol in (Engine, *opened):
        for name, method in vars(protocol).items():
            if name.startswith("_") or not inspect.isfunction(method):
                continue
            for hint in get_type_hints(method).values():
                if hint not in opened and get_origin(hint) is None:
                    reader_of(hint)


def test_every_method_of_the_engine_can_wait_for_an_answer() -> None:
    for name, method in vars(Engine).items():
        assert name.startswith("_") or inspect.iscoroutinefunction(method), name


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_comes_back_with_its_message_and_its_fields(kind: type[BullpenError]) -> None:
    match kind:
        case errors.Saturated:
            error: BullpenError = Saturated("desk", total=3, active=2, idle=1, waiting=9, retry_after=2.5, why="full")
        case errors.OverShare:
            error = errors.OverShare("ana has her share", retry_after=2.5)
        case errors.OverBudget:
            error = errors.OverBudget("ana reached it", retry_after=2.5)
        case errors.ConfigurationError:
            error = ConfigurationError(["line 1: a", "line 2: b"])
        case errors.ClientDied:
            error = errors.ClientDied("ended", exit_code=3, oversize=True)
        case _:
            error = kind("no session desk/ana/x")
    back = unpack_error(pack_error(error))
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))
    with pytest.raises(kind):
        raise back


def test_an_error_of_a_newer_engine_is_an_error_all_the_same() -> None:
    back = unpack_error('["Unheard", "of this", {"after": 3}]')
    assert (type(back), str(back)) == (BullpenError, "of this")
    for packed in ("[]", "{}", '["Refused", 1, {}]'):
        with pytest.raises(ValueError):  # noqa: PT011 - any of them
            unpack_error(packed)


def test_a_block_that_starts_again_is_no_text() -> None:
    assert isinstance(unpack_fragment(pack_fragment(StartsAgain())), StartsAgain)
    assert not isinstance(unpack_fragment(pack_fragment("")), StartsAgain)
    assert unpack_fragment(pack_fragment("null")) == "null"


def test_what_a_newer_side_adds_is_passed_over_and_what_an_older_one_lacks_has_its_default() -> None:
    assert unpack(Prompt, '{"agent": "desk", "text": "hi", "colour": ["red"]}') == Prompt("desk", "hi")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)


@QUICK
@given(kind=st.sampled_from(kinds()), plain=PLAIN)
def test_anything_else_is_one_kind_of_error_that_quotes_nothing(kind: type, plain: Any) -> None:
    try:
        unpack(kind, json.dumps(plain))
    except ValueError:
        pass


def test_a_mistake_names_its_field_and_not_what_stands_in_it() -> None:
    with pytest.raises(ValueError, match=r"^Prompt\.text: str is wanted, not int$"):
        unpack(Prompt, '{"agent": "desk", "text": 4711}')
    with pytest.raises(ValueError, match=r"^Prompt lacks text$"):
        unpack(Prompt, '{"agent": "secret"}')


def test_a_verb_that_answers_nothing_has_nothing_to_read() -> None:
    assert unpack(type(None), pack(None)) is None
    with pytest.raises(ValueError, match=r"^null is wanted, not int$"):
        unpack(type(None), "0")


def test_a_type_that_cannot_be_told_from_another_has_no_place_in_the_contract() -> None:
    class Odd(Struct, frozen=True):
        either: Prompt | SessionKey

    for kind in (Odd, list, tuple, object):
        with pytest.raises(TypeError):
            reader_of(kind)


def test_one_of_a_family_is_read_where_no_other_may_stand_and_no_other_is() -> None:
    packed = pack(Done("fine"))
    assert unpack(Done, packed) == unpack(Outcome, packed) == Done("fine")
    with pytest.raises(ValueError, match=r"^object is wanted, not list$"):
        unpack(Failed, packed)


def test_a_mapping_that_cannot_be_changed_is_written_as_any_other_and_what_is_no_value_is_refused() -> None:
    assert json.loads(pack(MappingProxyType({"a": frozenset({2, 1})}))) == {"a": [1, 2]}
    with pytest.raises(TypeError, match=r"^list_iterator is no value of the contract$"):
        pack(iter([]))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_no_number_is_written_that_json_does_not_have(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        pack(Route("desk", number, "it is meant"))


def test_values_within_values_without_end_are_one_kind_of_error() -> None:
    endless: Any = []
    for _ in range(100_000):
        endless = [endless]
    for call in (
        lambda: pack(endless),
        lambda: pack_error(with_field(endless)),
        lambda: unpack(Prompt, "[" * 100_000),
        lambda: unpack_error("[" * 100_000),
        lambda: unpack_fragment("[" * 100_000),
    ):
        with pytest.raises(ValueError, match="too deeply"):
            call()


def with_field(value: Any) -> BullpenError:
    error = BullpenError("no")
    vars(error)["found"] = value
    return error


def test_every_value_that_the_contract_defines_is_looked_at() -> None:
    assert {"Snapshot", "Changes", "Reading", "Cursor", "SessionKey", "Glimpse", "TurnFinished", "Choose"} <= {
        kind.__name__ for kind in kinds()
    }
    assert all(issubclass(kind, Struct) or is_named(kind) for kind in kinds())
