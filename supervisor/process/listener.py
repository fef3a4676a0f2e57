"""Whom a client tells what becomes of it."""

from __future__ import annotations

from typing import Protocol, TypeVar

from supervisor.api.states import Server
from supervisor.process.process_tree import TreeUsage
from supervisor.process.reports import ClientEvent, Result


class AnyPlace(Protocol):
    """A client's place in a pool. The client passes it with every report, and knows nothing else of it."""

    @property
    def id(self) -> str: ...


PlaceT = TypeVar("PlaceT", bound=AnyPlace)
PlaceIn = TypeVar("PlaceIn", bound=AnyPlace, contravariant=True)


class Listener(Protocol[PlaceIn]):
    """Is told what becomes of a client. Every method is synchronous: the reader never waits for a consumer."""

    def client_starting(self, place: PlaceIn) -> None: ...
    def client_ready(self, place: PlaceIn, seconds: float) -> None: ...
    def client_told(self, place: PlaceIn, event: ClientEvent) -> None: ...
    def client_result(self, place: PlaceIn, result: Result) -> None:
        """The turn of the prompt it was sent is over. It takes another one when it has rested."""

    def client_rested(self, place: PlaceIn) -> None:
        """The client is idle after its turn. Told once after each `client_result`, also when the client has died."""

    def client_began(self, place: PlaceIn, why: str) -> None:
        """A turn that the CLI has begun by itself. What is told from here on belongs to it, until its end is told."""

    def client_own_result(self, place: PlaceIn, result: Result | None) -> None:
        """The end of that turn; None when a prompt was merged into it, whose Result is then that of both."""

    def client_servers(self, place: PlaceIn, servers: tuple[Server, ...]) -> None:
        """How its MCP servers are; told when that has changed."""

    def client_slept(self, place: PlaceIn, measure: TreeUsage) -> None:
        """The client's processes are stopped; `measure` is what they use now. Not told when it was woken before
        that."""

    def client_woke(self, place: PlaceIn, seconds: float) -> None:
        """The client has given a sign of life, `seconds` after it was woken. Also told when it was put to sleep and
        never slept: it had something to say, or (0 s) could not be stopped."""

    def client_ending(self, place: PlaceIn, step: str) -> None: ...
    def client_gone(self, place: PlaceIn, seconds: float, left_over: int) -> None: ...
