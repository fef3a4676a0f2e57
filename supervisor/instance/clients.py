"""Opens the clients of one instance and sends them on their way out."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from supervisor.api.prompts import Choice
from supervisor.api.states import SlotState
from supervisor.api.tools import RunContext
from supervisor.files.user_folder import user_folder
from supervisor.instance.client_listener import ClientListener
from supervisor.instance.core import InstanceCore
from supervisor.journal import ClientRecord
from supervisor.permissions.requests import ToolRequest, Verdict
from supervisor.process.client import Client
from supervisor.process.connection import Launch
from supervisor.process.end_reason import EndReason
from supervisor.sessions.session import Session
from supervisor.sessions.slot import Slot


class Clients:
    """Reserves places, starts processes for them, and records their names before they run."""

    def __init__(self, core: InstanceCore, listener: ClientListener) -> None:
        self._core = core
        self._host = core.host
        self._listener = listener
        self._numbers = 0

    def open(self, session: Session | None) -> None:
        """Reserves a place and starts a client in it: for the session, or as a spare."""
        resume = session is not None and session.has_history
        uuid = session.uuid if session is not None and resume else str(uuid4())
        choice = self._core.plan_of(session).choice
        connector = self._core.connector_of(choice)
        self._numbers += 1
        slot = Slot(
            f"{self._core.name}-{self._numbers}",
            uuid,
            self._workspace_for(uuid),
            connector.digest,
            resume=resume,
            at=self._host.clock.wall(),
        )
        slot.opened_at = self._host.clock.steady()
        slot.provider = choice.provider
        slot.choice = choice if choice != Choice(self._core.provider) else Choice("")

        async def ask(request: ToolRequest) -> Verdict:
            return await self._listener.ask(slot, request)

        def whose() -> RunContext | None:
            turn = slot.session.running if slot.session is not None else None
            if slot.session is None or turn is None:
                return None
            user = turn.prompt.user
            folder = user_folder(self._host.settings.state_dir, user)
            return RunContext(turn.key.instance, user, turn.key.session, turn.id, folder)

        slot.mark = f"{self._host.mark}:{slot.id}"
        launch = Launch(
            client_id=slot.id,
            mark=slot.mark,
            session_uuid=uuid,
            resume=resume,
            workspace=slot.workspace,
            drop_turns=session.drop_turns if session is not None and resume else (),
            drops_unjudged=session is not None and resume and session.drops_unjudged,
            is_unanswered=session is None or not session.is_answered,
            ask=ask,
            whose=whose,
        )
        host = self._host
        slot.client = Client(slot, connector.open(launch), self._listener, host.deadlines, host.starts, host.patience)
        self._core.pool.add(slot)
        # Before it is started: whatever becomes of this process, the next run can find and end it.
        self.note_client(slot)
        if session is not None:
            self.adopt(session, slot)
        self._host.feed.touch_client(slot.id)
        self._host.spawn(slot.client)
        self._core.touch(session)

    def adopt(self, session: Session, slot: Slot) -> None:
        """Makes the place the session's own."""
        self._core.leave_conversation(session, slot)
        session.adopt(slot)
        slot.is_stale = not self._core.is_wanted(slot)
        session.tell_broken(slot.servers)
        self._core.save(session)
        self.note_client(slot)
        self._core.touch(session)

    def judge(self) -> None:
        """Notes which clients were started with options that are not wanted any more. Call it whenever other ones are
        wanted: of the instance, or of one session."""
        for slot in self._core.pool:
            slot.is_stale = not self._core.is_wanted(slot)
            self._host.feed.touch_client(slot.id)

    def note_client(self, slot: Slot) -> None:
        """Records its processes' names: mark, pid and start time, as far as they are known."""
        key = slot.session.key if slot.session is not None else None
        self._host.journal.note_client(ClientRecord(slot.id, slot.mark, slot.pid, slot.process_started, slot.uuid, key))

    def _workspace_for(self, uuid: str) -> Path:
        """Private to the session, whatever its template shares: the CLI keeps transcripts and schedules by directory,
        and lets each conversation of a directory read those of the others."""
        # Ids from outside never name a directory: the session's own random id does (S3.3–5).
        return self._host.workspaces / self._core.template.slug / uuid

    def end(self, slot: Slot, reason: EndReason) -> None:
        """Sends a slot on its way out. What runs on it becomes interrupted when it is gone."""
        turns = (slot.session.own, slot.session.mailbox.current) if slot.session is not None else ()
        is_final = reason in (EndReason.KILLED, EndReason.STOPPING)
        for turn in turns:
            if turn is not None and (is_final or not slot.is_leaving):
                # Also where the client is leaving already: its turn must not be given to another one any more.
                turn.ask_to_stop(str(reason))
        if slot.is_leaving or slot.client is None:
            return
        slot.move(SlotState.CLOSING)
        self._host.feed.touch_client(slot.id)
        slot.client.end(reason)
        self._core.touch(slot.session)

    def evict(self, slot: Slot) -> None:
        """Ends an idle client to make room; its session hibernates."""
        self._core.pool.evictions += 1
        self.end(slot, EndReason.EVICTED)
