"""Builds the rows of the snapshot from the engine's state, when a reader asks for them. Reading changes nothing."""

from __future__ import annotations

from collections.abc import Mapping

from supervisor._version import __version__
from supervisor.api.keys import SessionKey
from supervisor.api.questions import Question
from supervisor.api.snapshot import ClientRow, HostRow, InstanceRow, SessionRow, Snapshot
from supervisor.engine.memory_sampler import Census
from supervisor.engine.row_builders import make_client_row, make_instance_row, make_session_row
from supervisor.instance.instance import Instance
from supervisor.instance.shared import HostContext
from supervisor.sessions.slot import Slot


def find_client(instances: Mapping[str, Instance], client_id: str) -> tuple[Slot, Instance] | None:
    """A place by the id of its client, and whose it is."""
    for instance in instances.values():
        if (slot := instance.pool.get(client_id)) is not None:
            return slot, instance
    return None


class View:
    """The feed's source of rows (`feed.RowSource`)."""

    def __init__(
        self,
        instances: Mapping[str, Instance],
        host: HostContext,
        census: Census,
        *,
        endpoint: str,
        left_out: tuple[str, ...] = (),
    ) -> None:
        """`endpoint` is what the screen calls the place the clients talk to, `left_out` a line for every mistake in the
        files of templates that do not run."""
        self._instances = instances
        self._host = host
        self._census = census
        self._endpoint = endpoint
        self.left_out = left_out
        self.door = ""
        """What is told of the door: it is another room's."""
        self._started_at = host.clock.wall()

    def snapshot(self) -> Snapshot:
        instances = self._instances.values()
        return Snapshot(
            host=self.host_row(),
            instances=tuple(make_instance_row(instance) for instance in instances),
            sessions=tuple(make_session_row(session, one) for one in instances for session in one.sessions.values()),
            clients=tuple(make_client_row(slot, one) for one in instances for slot in one.pool),
            questions=self.open_questions(),
        )

    def host_row(self) -> HostRow:
        host = self._host
        ledger = host.room.ledger
        pools = [instance.pool for instance in self._instances.values()]
        swap = self._census.swap_use(ledger.swapped, host.settings)
        return HostRow(
            version=__version__,
            rehearsal=host.settings.rehearsal,
            endpoint=self._endpoint,
            started_at=self._started_at,
            memory_bytes=ledger.measured,
            memory_budget=host.room.memory_budget,
            supervisor_bytes=self._census.supervisor_bytes,
            memory_available=self._census.memory_available,
            journal_failing=host.recording_fails,
            memory_reserved=ledger.coming,
            disk=host.disk,
            disk_measured_at=host.disk_measured_at,
            today=host.today.usage(host.clock.wall()),
            not_removed=host.eraser.failed,
            left_out=self.left_out,
            caches=host.caches.statistics(),
            state_dir=str(host.settings.state_dir),
            transcripts_dir=str(host.eraser.transcripts_dir),
            drain_deadline=host.settings.drain_deadline,
            max_agents=host.settings.max_agents,
            agent_ttl=host.agent_ttl,
            dormant=sum(pool.dormant for pool in pools),
            swap_bytes=swap.used,
            swap_budget=swap.budget,
            door=self.door,
        )

    def instance_row(self, name: str) -> InstanceRow | None:
        instance = self._instances.get(name)
        return make_instance_row(instance) if instance else None

    def session_row(self, key: SessionKey) -> SessionRow | None:
        instance = self._instances.get(key.instance)
        session = instance.sessions.get(key) if instance else None
        return make_session_row(session, instance) if session and instance else None

    def client_row(self, client_id: str) -> ClientRow | None:
        found = find_client(self._instances, client_id)
        return make_client_row(*found) if found else None

    def open_questions(self) -> tuple[Question, ...]:
        """Oldest first."""
        return self._host.pending_questions.open
