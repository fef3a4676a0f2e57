"""Makes a stimulus of everything that a client reports. Its reader never waits for what follows from it."""

from __future__ import annotations

from supervisor.api.states import Server
from supervisor.instance.core import InstanceCore
from supervisor.instance.stimuli import (
    ClientConnected,
    ClientLeaving,
    ClientLeft,
    ClientRested,
    ClientSlept,
    ClientSpoke,
    ClientStarting,
    ClientWoke,
    Handle,
    OwnResultArrived,
    OwnTurnBegan,
    QuestionOver,
    QuestionPut,
    ResultArrived,
    ServersChanged,
)
from supervisor.permissions.requests import ToolRequest, Verdict
from supervisor.process.process_tree import TreeUsage
from supervisor.process.reports import ClientEvent, Result
from supervisor.sessions.open_questions import LOST
from supervisor.sessions.slot import Slot


class ClientListener:
    """The `process.client.Listener` of one instance, and whom its clients ask for permission."""

    def __init__(self, core: InstanceCore, handle: Handle) -> None:
        self._core = core
        self._handle = handle

    def client_starting(self, slot: Slot) -> None:
        self._handle(ClientStarting(slot))

    def client_ready(self, slot: Slot, seconds: float) -> None:
        self._handle(ClientConnected(slot, seconds))

    def client_told(self, slot: Slot, event: ClientEvent) -> None:
        self._handle(ClientSpoke(slot, event))

    def client_result(self, slot: Slot, result: Result) -> None:
        self._handle(ResultArrived(slot, result))

    def client_rested(self, slot: Slot) -> None:
        self._handle(ClientRested(slot))

    def client_began(self, slot: Slot, why: str) -> None:
        self._handle(OwnTurnBegan(slot, why))

    def client_own_result(self, slot: Slot, result: Result | None) -> None:
        self._handle(OwnResultArrived(slot, result))

    def client_servers(self, slot: Slot, servers: tuple[Server, ...]) -> None:
        self._handle(ServersChanged(slot, servers))

    def client_slept(self, slot: Slot, measure: TreeUsage) -> None:
        self._handle(ClientSlept(slot, measure))

    def client_woke(self, slot: Slot, seconds: float) -> None:
        self._handle(ClientWoke(slot, seconds))

    def client_ending(self, slot: Slot, step: str) -> None:
        self._handle(ClientLeaving(slot, step))

    def client_gone(self, slot: Slot, seconds: float, left_over: int) -> None:
        self._handle(ClientLeft(slot, seconds, left_over))

    async def ask(self, slot: Slot, request: ToolRequest) -> Verdict:
        """Returns the operator's verdict; the question is lost with its turn."""
        session = slot.session
        assert session is not None, "only a session's turn asks"
        if slot.client is not None:
            slot.client.note_sign()
        if slot.is_leaving:
            return LOST  # permission requests from a closing client are rejected
        questions, ttl = self._core.host.pending_questions, self._core.template.question_ttl
        try:
            return await questions.ask(session, slot.id, request, ttl, when_put=lambda: self._handle(QuestionPut(slot)))
        finally:
            self._handle(QuestionOver(slot))
