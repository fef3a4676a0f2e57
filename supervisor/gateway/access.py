"""Who calls, and what that one may: judged once for each request, before anything else is looked at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from fastapi import Depends, Request

from supervisor.api.actor import Actor
from supervisor.api.addressing import EMPLOYEE_USER
from supervisor.api.errors import InvalidPrompt, UnknownTarget
from supervisor.api.keys import SessionKey
from supervisor.api.prompts import AUTO
from supervisor.api.turns import TurnView
from supervisor.gateway.problems import NotAllowed, NotIdentified
from supervisor.gateway.tokens import Role, TokenFile

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
VIA = "x-bullpen-via"
"""A header of our own command line: `command` or `screen`, believed of an operator."""


class Caller(NamedTuple):
    name: str
    """Of the token; `operator` at the socket."""
    role: Role
    user: str = ""
    agent: str = ""
    via: str = "http"

    @property
    def reaches_all(self) -> bool:
        """Whether every user's things, with every agent, are this caller's to see."""
        return self.role is not Role.USER and not self.agent

    @property
    def actor(self) -> Actor:
        return Actor(self.name, self.via)

    @property
    def sees_host(self) -> bool:
        """Whether paths and processes of this machine are this caller's to see."""
        # What an operator does may be about any agent: a token that is for one agent has none of it.
        return not self.agent and self.role in (Role.OPERATOR, Role.READ_ONLY)

    @property
    def may_spend(self) -> bool:
        """Whether the caller may let a turn run beyond a budget: an operator whose token is not for one agent alone."""
        return self.role is Role.OPERATOR and not self.agent

    def check_operator(self, *, changes: bool) -> None:
        """Raises `NotAllowed`."""
        if self.sees_host and (self.role is Role.OPERATOR or not changes):
            return
        raise NotAllowed(f"the token {self.name} ({self.role}) may not do that: it takes an operator's")

    def check_prompts(self) -> None:
        """Raises `NotAllowed` when it may send no prompts at all."""
        if self.role is Role.READ_ONLY:
            raise NotAllowed(f"the token {self.name} is read-only: it changes nothing")

    def check_user(self, user: str) -> str:
        """The user that a prompt is for. Raises `NotAllowed`, or `InvalidPrompt` when none is named."""
        self.check_prompts()
        if self.role is Role.USER:
            if user not in ("", self.user):
                raise NotAllowed(f"the token {self.name} is for the user {self.user} alone")
            return self.user
        if not user:
            raise InvalidPrompt("userId is missing: say for whom the prompt is")
        return user

    def agent_for(self, named: str) -> str:
        """The agent that a prompt is for: the token's own where it names none. Empty where that is to be chosen."""
        return self.agent if self.agent and named in ("", AUTO) else named

    def check_agent(self, agent: str) -> None:
        """Raises `NotAllowed`."""
        if self.agent and agent != self.agent:
            raise NotAllowed(f"the token {self.name} is for the agent {self.agent} alone")

    def may_reach(self, user: str, agent: str) -> bool:
        """Whether what belongs to that user, with that agent, is this caller's to see."""
        if self.agent and agent != self.agent:
            return False
        if self.role is not Role.USER:
            return True
        # What is kept under the name of them all is the conversation that an employee has with every caller.
        return user == self.user != EMPLOYEE_USER

    def check_session(self, key: SessionKey) -> None:
        """Raises `UnknownTarget`: what is not the caller's is not there."""
        if not self.may_reach(key.user, key.instance):
            raise UnknownTarget(f"no session {key}")

    def check_turn(self, turn: TurnView) -> None:
        """Raises `UnknownTarget`."""
        if not self.may_reach(turn.prompt.user, turn.key.instance):
            raise UnknownTarget(f"no turn {turn.id} is known")


class Access:
    """Judges requests. The owner of the socket is the operator; over TCP it takes a token."""

    def __init__(self, tokens: TokenFile, *, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        """`hosts` are names the door is reached by, besides those of loopback; `origins` those of the pages that a
        browser may come from (`https://chat.example.org`)."""
        self.tokens = tokens
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)
        self._hosts = LOOPBACK | {host.lower() for host in hosts}

    def identify(self, request: Request) -> Caller:
        """Raises `NotIdentified` or `NotAllowed`."""
        if request.scope.get("bullpen.is_local"):
            return Caller("operator", Role.OPERATOR, via=_way_of(request))
        self.check_place(request)
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given.strip():
            raise NotIdentified("a token is needed: Authorization: Bearer TOKEN (bullpen token new makes one)")
        token = self.tokens.find(given.strip())
        if token is None:
            raise NotIdentified("the token is not known: it may have been revoked")
        self.tokens.note_used(token)
        via = _way_of(request) if token.role is Role.OPERATOR else "http"
        return Caller(token.name, token.role, token.user, token.agent, via)

    def check_host(self, request: Request) -> None:
        """Raises `NotAllowed` for a name that was made to point here."""
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        if host not in self._hosts:
            raise NotAllowed("this host name is not one that bullpen answers to: see [gateway] hosts")

    def check_place(self, request: Request) -> None:
        """A page of another site must not use the browser's way in, nor a name that was made to point here. Raises
        `NotAllowed`."""
        self.check_host(request)
        origin = request.headers.get("origin")
        if origin is not None and origin.lower() not in self._origins:
            own = f"{request.url.scheme}://{request.headers.get('host', '')}"
            if origin.lower() != own.lower():
                raise NotAllowed("pages of that origin may not come in: see [gateway] allowed_origins")


def _way_of(request: Request) -> str:
    """By which of bullpen's programs an operator came, as the program says it."""
    told = request.headers.get(VIA)
    return told if told in ("command", "screen") else "http"


# Both are `async` so that they are not sent to a thread: that would cost more than all that they do.


async def identify(request: Request) -> Caller:
    access: Access = request.app.state.access
    return access.identify(request)


async def identify_operator(request: Request) -> Caller:
    """Identifies the caller of a request that only operators may make. Every method except GET and HEAD counts as a
    change."""
    caller = await identify(request)
    caller.check_operator(changes=request.method not in ("GET", "HEAD"))
    return caller


AnyCaller = Annotated[Caller, Depends(identify)]
Operator = Annotated[Caller, Depends(identify_operator)]
