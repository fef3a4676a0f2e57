"""Every event is a value, whether it has fields of its own or inherits all of them."""

from __future__ import annotations

import inspect

import pytest
from msgspec.structs import fields

from supervisor.api import events
from supervisor.api.events import Event, SessionClosed, SessionOpened

pytestmark = pytest.mark.unit

KINDS = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_annotated_is_a_field_and_nothing_else_can_be_set(kind: type[Event]) -> None:
    named = {field.name for field in fields(kind)}
    assert named >= set(inspect.get_annotations(kind))
    assert "__dict__" not in dir(kind)


def test_one_without_fields_of_its_own_is_compared_shown_and_kept_as_it_is() -> None:
    opened = SessionOpened(at=1.0, user="lena")
    assert opened == SessionOpened(at=1.0, user="lena")
    assert opened != SessionClosed(at=1.0, user="lena")
    assert len({opened, SessionOpened(at=1.0, user="lena")}) == 1
    assert repr(opened).startswith("SessionOpened(at=1.0, instance='', user='lena'")
    with pytest.raises(AttributeError):
        opened.user = "omar"  # type: ignore[misc]
