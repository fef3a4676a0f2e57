"""Where a chat takes place, and who talks with whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import anyio
from msgspec import Struct
from msgspec.structs import replace

from supervisor import NotAccepting, Prompt, Refused, SessionKey, acting, find_key, reveal_line
from tui.cli.ask import BY_COMMAND, with_one_client
from tui.cli.chat.chat import Chat
from tui.cli.chat.lines import GivenUp, Lines, open_lines
from tui.cli.exit_codes import FAILED
from tui.cli.output import ask_line
from tui.cli.run import prepare
from tui.cli.signals import SIGNALS
from tui.cli.targets import check_agent, find_session
from tui.cli.terminal_input import END_OF_INPUT

if TYPE_CHECKING:
    from supervisor import Engine, RemoteEngine, Settings, Supervisor, Template


class Talk(Struct, frozen=True):
    """The agent, user and session of a chat, as the command line gives them."""

    agent: str = ""
    """Empty, an agent, or a session as `AGENT/USER/SESSION`."""
    user: str = ""
    session: str = ""
    way: Sequence[str] = ()
    """Options that lead to the same bullpen."""
    provider: str = ""
    """For every message; empty for the agent's own."""
    model: str = ""


async def chat_here(templates: Sequence[Template], settings: Settings, talk: Talk) -> int:
    """Chats in a bullpen of its own, which ends with the chat. Returns the exit code; raises as `ask_once` does."""
    lines = open_lines()
    talk = await choose(talk, sorted(template.name for template in templates), lines)
    wanted = [with_one_client(one) for one in templates if one.name in (talk.agent, talk.agent.partition("/")[0])]
    running: list[Supervisor] = []
    work = anyio.CancelScope()
    code = FAILED

    def hurry() -> None:
        for supervisor in running:
            supervisor.hurry()

    async with SIGNALS.heeded(work.cancel, hurry):
        with work:
            async with prepare(wanted or templates, settings, name="chat", keeps_queue=False) as supervisor:
                running.append(supervisor)
                async with supervisor:
                    talk = replace(talk, user=talk.user or "local")
                    with acting(BY_COMMAND):
                        code = await _begin(supervisor, talk, lines, is_own=True)
    return SIGNALS.exit_code or code


async def chat_there(talk: Talk, engine: RemoteEngine) -> int:
    """Chats in a bullpen that is running; leaving the chat ends nothing there. Returns the exit code; raises what
    `Engine` raises."""
    me = await engine.whoami()
    talk = replace(talk, user=talk.user or me.get("user", ""), agent=talk.agent or me.get("agent", ""))
    return await _begin(engine, talk, open_lines())


async def _begin(engine: Engine, talk: Talk, lines: Lines, *, is_own: bool = False) -> int:
    try:
        snapshot = await engine.snapshot()
    except NotAccepting:
        raise
    except Refused:
        # A user's token: it reaches its own sessions and knows no others.
        if not talk.agent:
            raise Refused("say which agent: bullpen chat AGENT") from None
        key = SessionKey(talk.agent, talk.user, talk.session or "default") if talk.user else None
        prompt = Prompt(talk.agent, "", talk.user, talk.session, provider=talk.provider, model=talk.model)
        return await Chat(engine, lines, prompt, key, talk.way).run()
    names = sorted(row.name for row in snapshot.instances)
    if "/" in talk.agent and talk.agent not in names:
        found = find_session(talk.agent, snapshot).key
        talk = replace(talk, agent=found.instance, user=found.user, session=found.session)
    talk = await choose(talk, names, lines)
    check_agent(talk.agent, snapshot)
    (row,) = [one for one in snapshot.instances if one.name == talk.agent]
    if not talk.user:
        raise Refused("say on whose behalf: --user U")
    # Of a tool, a call without a session is a conversation of its own: all of this chat is to be one.
    key = find_key(Prompt(talk.agent, "", talk.user, talk.session), row.archetype)
    prompt = Prompt(talk.agent, "", talk.user, key.session, provider=talk.provider, model=talk.model)
    return await Chat(engine, lines, prompt, key, talk.way, is_own=is_own).run()


async def choose(talk: Talk, agents: Sequence[str], lines: Lines) -> Talk:
    """The talk with its agent: the one given, the only one that there is, or the one that the person picks. Raises
    `Refused`."""
    if talk.agent:
        return talk
    if len(agents) == 1:
        return replace(talk, agent=agents[0])
    if not lines.is_attended or not agents:
        raise Refused(f"say which agent: bullpen chat AGENT ({', '.join(agents) or 'none runs here'})")
    for number, name in enumerate(agents, start=1):
        ask_line(f"  {number}. {reveal_line(name)}\n")
    while True:
        try:
            reply = await lines.answer("which agent? ")
        except GivenUp:
            reply = END_OF_INPUT
        if reply == END_OF_INPUT:
            raise Refused("no agent was chosen")
        if reply.isascii() and reply.isdigit() and 1 <= int(reply) <= len(agents):
            reply = agents[int(reply) - 1]
        if reply in agents:
            return replace(talk, agent=reply)
