"""Our `dataclass` makes what the standard library's makes, of everything that this project asks of it."""

from __future__ import annotations

import dataclasses
import pickle
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

import supervisor
from supervisor.quick_dataclass import dataclass

pytestmark = pytest.mark.unit


def _declare(make: Callable[..., Callable[[Any], Any]]) -> tuple[Any, Any, Any]:
    @make(frozen=True, slots=True, kw_only=True)
    class Base:
        at: float
        who: str = "nobody"
        LIMIT: ClassVar[int] = 3

    @make(frozen=True, slots=True, kw_only=True)
    class Value(Base):
        """It has fields of its own."""

        names: list[str] = field(default_factory=list)
        secret: str = field(default="", repr=False, compare=False)

        def __post_init__(self) -> None:
            if self.at < 0:
                raise ValueError("before the beginning")

    @make(slots=True)
    class Changing:
        first: int
        second: int = 2
        made: list[int] = field(init=False, default_factory=list)
        later: str = field(init=False)

    return Base, Value, Changing


Base, Value, Changing = _declare(dataclass)
TheirBase, TheirValue, TheirChanging = _declare(dataclasses.dataclass)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(Base, TheirBase), (Value, TheirValue), (Changing, TheirChanging)],
    ids=lambda one: one.__name__,
)
def test_a_class_has_the_same_fields_slots_and_words(ours: Any, theirs: Any) -> None:
    def told(kind: Any) -> list[Any]:
        return [(one.name, one.default, one.default_factory, one.init, one.kw_only) for one in dataclasses.fields(kind)]

    assert told(ours) == told(theirs)
    assert ours.__slots__ == theirs.__slots__
    assert ours.__match_args__ == theirs.__match_args__
    assert (ours.__hash__ is None) == (theirs.__hash__ is None)
    assert not hasattr(ours(1.0) if ours is Changing else ours(at=1.0), "__dict__")


@pytest.mark.parametrize(
    "given", [{"at": 1.0}, {"at": 1.0, "who": "ana", "names": ["a"]}, {"at": 2.0, "secret": "x"}], ids=str
)
def test_values_are_made_shown_compared_and_changed_alike(given: dict[str, Any]) -> None:
    mine, theirs, another = Value(**given), TheirValue(**given), Value(at=9.0)

    assert repr(mine) == repr(theirs)
    assert asdict(mine) == asdict(theirs)
    assert mine == Value(**given)
    assert mine == Value(**{**given, "secret": "does not count"})
    assert mine != another
    assert mine != theirs
    assert Base(at=1.0) != Value(at=1.0), "another class is another value"
    assert asdict(replace(mine, who="eve")) == asdict(replace(theirs, who="eve"))
    assert hash(Base(at=1.0)) == hash(Base(at=1.0))
    assert mine.names is not Value(at=1.0).names


@pytest.mark.parametrize("kind", [Value, TheirValue])
def test_a_frozen_value_cannot_be_changed(kind: Any) -> None:
    value = kind(at=1.0)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'who'"):
        value.who = "eve"
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'who'"):
        del value.who
    with pytest.raises(TypeError, match=r"__init__\(\) missing 1 required keyword-only argument: 'at'"):
        kind()
    with pytest.raises(TypeError, match=r"__init__\(\) takes 1 positional argument but 2 were given"):
        kind(1.0)
    with pytest.raises(ValueError, match="before the beginning"):
        kind(at=-1.0)


def test_what_may_change_has_no_hash() -> None:
    mine, theirs = Changing(1), TheirChanging(1)
    mine.second = theirs.second = 5
    mine.later = theirs.later = "now"
    assert repr(mine) == repr(theirs)
    assert mine.made == []
    with pytest.raises(TypeError, match="unhashable"):
        hash(mine)


@dataclass(frozen=True, slots=True)
class Kept:
    first: int
    second: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "its own"


@dataclass(frozen=True)
class Empty:
    pass


def test_a_value_is_pickled_matched_and_empty() -> None:
    assert pickle.loads(pickle.dumps(Kept(1, ("a",)))) == Kept(1, ("a",))
    match Kept(1, ("a",)):
        case Kept(first, second=("a",)):
            assert first == 1
        case _:
            pytest.fail("it is not matched")
    assert Empty() == Empty()
    assert {Empty(), Empty()} == {Empty()}
    assert str(Kept(1)) == "its own"
    assert Kept.__doc__ is None


def test_no_module_of_the_engine_makes_them_the_slow_way() -> None:
    folder = Path(supervisor.__file__).parent
    own = folder / "quick_dataclass.py"
    slow = re.compile(r"^from dataclasses import .*\bdataclass\b|@dataclasses\.dataclass", re.MULTILINE)
    found = [file.name for file in folder.rglob("*.py") if file != own and slow.search(file.read_text())]
    assert not found, "import dataclass from supervisor.quick_dataclass"
