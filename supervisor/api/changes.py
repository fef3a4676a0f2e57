"""What a reader of the feed missed since it last looked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from supervisor.api.events import Event
from supervisor.api.keys import SessionKey
from supervisor.api.questions import Question
from supervisor.api.snapshot import ClientRow, HostRow, InstanceRow, SessionRow, Snapshot

Row = TypeVar("Row")
Name = TypeVar("Name")


class Changes(Struct, frozen=True, gc=False):
    """What has changed since a reader last looked."""

    snapshot: Snapshot | None = None
    """Set when the reader was cut: everything it knew is to be replaced by this."""
    host: HostRow | None = None
    instances: tuple[InstanceRow, ...] = ()
    sessions: tuple[SessionRow, ...] = ()
    clients: tuple[ClientRow, ...] = ()
    questions: tuple[Question, ...] | None = None
    """All open questions, oldest first; None when none was asked or settled."""
    gone_instances: frozenset[str] = frozenset()
    gone_sessions: frozenset[SessionKey] = frozenset()
    gone_clients: frozenset[str] = frozenset()
    events: tuple[Event, ...] = ()

    def then(self, later: Changes) -> Changes:
        """Both as one, for a reader that has not come in between. Of a row the later state counts."""
        if later.snapshot is not None:
            return later
        if self.snapshot is not None:
            return replace(self, snapshot=_apply(self.snapshot, later), events=self.events + later.events)
        return Changes(
            host=later.host or self.host,
            instances=_merge(self.instances, later.instances, later.gone_instances, _name),
            sessions=_merge(self.sessions, later.sessions, later.gone_sessions, _key),
            clients=_merge(self.clients, later.clients, later.gone_clients, _id),
            questions=self.questions if later.questions is None else later.questions,
            gone_instances=self.gone_instances.difference(map(_name, later.instances)) | later.gone_instances,
            gone_sessions=self.gone_sessions.difference(map(_key, later.sessions)) | later.gone_sessions,
            gone_clients=self.gone_clients.difference(map(_id, later.clients)) | later.gone_clients,
            events=self.events + later.events,
        )


def _name(row: InstanceRow) -> str:
    return row.name


def _key(row: SessionRow) -> SessionKey:
    return row.key


def _id(row: ClientRow) -> str:
    return row.id


def _merge(
    rows: Iterable[Row], later: Iterable[Row], gone: Collection[Name], name: Callable[[Row], Name]
) -> tuple[Row, ...]:
    """The rows with the later ones in place of those of the same name, and without those that are gone."""
    by_name = {name(row): row for row in rows} | {name(row): row for row in later}
    return tuple(row for each, row in by_name.items() if each not in gone)


def _apply(snapshot: Snapshot, later: Changes) -> Snapshot:
    return Snapshot(
        host=later.host or snapshot.host,
        instances=_merge(snapshot.instances, later.instances, later.gone_instances, _name),
        sessions=_merge(snapshot.sessions, later.sessions, later.gone_sessions, _key),
        clients=_merge(snapshot.clients, later.clients, later.gone_clients, _id),
        questions=snapshot.questions if later.questions is None else later.questions,
    )
