"""What callers hand in, looked at before anything is changed.

Every function returns the value as the engine may use it, or raises a `Refused` with one line that names the thing and
what it should be. None of them changes anything.

`Supervisor` and `RemoteEngine` call the same functions, in the order of a verb's arguments and before all else. So what
is refused here is refused in the same words on both sides of a line, and is never sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from supervisor.api.automation import MOST_DEPTH
from supervisor.api.errors import BullpenError, InvalidId, InvalidPrompt, Refused, UnknownAgent, UnknownTarget
from supervisor.api.ids import validate_id
from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Priority, Prompt, Source
from supervisor.api.questions import Allow, Answer, Choose, Deny
from supervisor.text.cleaning import clean, join_surrogates, one_line, show_name
from supervisor.text.values import in_words

MAX_PROMPT = 1_000_000
"""Characters of one prompt."""
MAX_REQUEST = 255
"""Characters of the name that a caller gives a request."""
MAX_WORDS = 100_000
"""Characters of an answer to a question, or of a reason."""
MAX_ANSWERS = 100
"""Answers of one call; the tool puts four questions at most."""
MOST_RECENT = 1_000
"""Events that are remembered."""
MOST_ENTRIES = 1_000
"""Entries of a conversation that are told at once as its end."""
MOST_ACTIONS = 10_000
"""Of operators, that are read back at once."""
MOST_RUNS = 1_000
"""Runs of hooks, gates and schedules that are remembered."""
MOST_DIGITS = 18
"""Of a whole number."""
MAX_NAME = 1_000
"""Characters of a name or an id in a verb: no name that exists is as long."""
_UNNAMED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Characters in no name: some of them cannot cross a line, or end a path. Of an agent's name the template excludes more
(`config.names`)."""
LONGEST_DEADLINE = 7 * 86400.0
"""Seconds a drain may be told to wait."""


def check_prompt(prompt: object, *, may_lack_user: bool = False) -> Prompt:
    """A checked copy, with source and priority as enumeration members. With `may_lack_user` the user may be empty: the
    other side knows it from the token. Raises `InvalidPrompt`, `InvalidId` or `UnknownAgent`."""
    if not isinstance(prompt, Prompt):
        raise InvalidPrompt(f"a prompt must be a Prompt, not {in_words(prompt)}")
    return Prompt(
        agent="" if prompt.agent == "" else check_agent(prompt.agent),
        text=check_text(prompt.text),
        user="" if may_lack_user and prompt.user == "" else validate_id(prompt.user, "user"),
        session="" if prompt.session == "" else validate_id(prompt.session, "session"),
        source=_check_source(prompt.source),
        priority=_check_priority(prompt.priority),
        request=_check_request(prompt.request),
        depth=_check_depth(prompt.depth),
        provider=check_words(prompt.provider, "the name of a provider"),
        model=check_words(prompt.model, "the name of a model"),
    )


def check_text(text: object) -> str:
    """Returns the text of a prompt unchanged. Raises `InvalidPrompt` when it is no text, is empty or is too long."""
    if not isinstance(text, str):
        raise InvalidPrompt(f"the prompt's text must be text, not {in_words(text)}")
    if len(text) > MAX_PROMPT:
        raise InvalidPrompt(f"the prompt has {len(text):,} characters; at most {MAX_PROMPT:,} are accepted")
    if not clean(text).strip():
        raise InvalidPrompt("the prompt is empty: say what the agent should do")
    return join_surrogates(text)


def check_agents(agents: object) -> tuple[str, ...]:
    """Names that a choice is limited to. Raises `InvalidPrompt`."""
    if isinstance(agents, tuple | list) and all(isinstance(one, str) for one in agents):
        return tuple(agents)
    raise InvalidPrompt(f"the agents to choose from must be a tuple of names, not {in_words(agents)}")


_SENDERS = tuple(source for source in Source if source not in (Source.AGENT, Source.ENGINE))


def _check_source(value: object) -> Source:
    if isinstance(value, str) and value in _SENDERS:
        return Source(value)
    raise InvalidPrompt(f"the prompt's source must be {', '.join(_SENDERS)}, not {in_words(value)}")


def _check_priority(value: object) -> Priority:
    if isinstance(value, int) and not isinstance(value, bool) and value in Priority.__members__.values():
        return Priority(value)
    words = ", ".join(f"{int(one)} ({one.name.lower()})" for one in Priority)
    raise InvalidPrompt(f"the prompt's priority must be {words}, not {in_words(value)}")


def _check_request(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidPrompt(f"the name of a request must be text, not {in_words(value)}")
    if len(value) > MAX_REQUEST or not value.isprintable() or not value.isascii():
        raise InvalidPrompt(f"the name of a request (an idempotency key) is at most {MAX_REQUEST} ASCII characters")
    return value


def _check_depth(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_DEPTH:
        return int(value)
    raise InvalidPrompt(f"the prompt's depth must be 0 to {MOST_DEPTH}, not {in_words(value)}")


def check_count(value: object, most: int, what: str) -> int:
    if (count := check_whole(value, what)) < 1 or count > most:
        raise Refused(f"{what} must be 1 to {most:,}, not {in_words(value)}")
    return count


def check_entries(value: object) -> int:
    """How many entries of a conversation a glimpse shows."""
    return check_count(value, MOST_ENTRIES, "how many entries")


def check_actions(value: object) -> int:
    """How many verbs of operators are wanted."""
    return check_count(value, MOST_ACTIONS, "how many actions")


def check_runs(value: object) -> int:
    """How many runs of hooks are wanted."""
    return check_count(value, MOST_RUNS, "how many runs")


def check_recent(value: object) -> int:
    """The number of past events that a reader asks for. Raises `Refused` when it is no number in range."""
    return 0 if value == 0 else check_count(value, MOST_RECENT, "how many recent events")


def check_name(value: object, what: str, error: type[BullpenError] = UnknownTarget) -> str:
    """A name that something is looked up by. Raises `error` for what nothing can be called."""
    if not isinstance(value, str):
        raise error(f"{what} must be text, not {in_words(value)}")
    if not value:
        raise error(f"{what} must not be empty")
    if len(value) > MAX_NAME:
        raise error(f"{what} has {len(value):,} characters: nothing is called that")
    if _UNNAMED.search(value):
        raise error(f"{what} “{show_name(value[:40])}” has a character that cannot be seen: nothing is called that")
    return value


def check_id(value: object, what: str, error: type[BullpenError] = UnknownTarget) -> str:
    """A name without a `/`, which parts names in a path."""
    if "/" in (name := check_name(value, what, error)):
        raise error(f"{what} “{show_name(name[:40])}” has a /: nothing is called that")
    return name


def check_agent(value: object) -> str:
    """The name of an agent, which is its instance's. Raises `UnknownAgent`."""
    return check_name(value, "the name of an agent", UnknownAgent)


def check_instance(value: object) -> str:
    """The name of an agent, or empty: the host is meant. Raises as `check_agent`."""
    return "" if value == "" else check_agent(value)


def check_turn(value: object) -> str:
    return check_id(value, "the id of a turn")


def check_turn_meant(value: object) -> str:
    """The id of a turn, or empty: the turn that runs is meant. Raises as `check_turn`."""
    return "" if value == "" else check_turn(value)


def check_question(value: object) -> str:
    return check_id(value, "the id of a question")


def check_client(value: object) -> str:
    """The id of a client. It begins with the name of its agent, which may have a `/`. Raises as `check_name`."""
    return check_name(value, "the id of a client")


def check_event(value: object) -> str:
    return check_name(value, "the name of an event")


def check_limit(value: object) -> str:
    """The name of a limit."""
    return check_name(value, "the name of a limit", Refused)


def check_limit_value(value: object) -> str:
    """As people write it."""
    return check_words(value, "the value of a limit")


def check_key(value: object) -> SessionKey:
    """Three texts; a plain tuple of them will do. Raises `UnknownAgent`, or `UnknownTarget` for what is no id: no
    session has a user or a name that no prompt can have."""
    if not (isinstance(value, tuple) and len(value) == 3 and all(isinstance(part, str) for part in value)):
        raise UnknownTarget(f"a session is named by a SessionKey of three texts, not by {in_words(value)}")
    key = SessionKey(*value)
    check_agent(key.instance)
    try:
        validate_id(key.user, "user")
        validate_id(key.session, "session")
    except InvalidId:
        raise UnknownTarget(f"no session {one_line(str(key), 300)}") from None
    return key


def check_queue(instance: object, key: object) -> tuple[str, SessionKey | None]:
    """An instance, and a session of it; None for all of them. Raises as `check_agent` and `check_key` do."""
    name = check_agent(instance)
    if key is None:
        return name, None
    whose = check_key(key)
    if whose.instance != name:
        raise UnknownTarget(f"{whose} is no session of {name}")
    return name, whose


def check_answer(answer: object) -> Answer:
    """Returns the answer when its shape and size are right. Only `OpenQuestions` can say whether it fits its
    question."""
    match answer:
        case Allow(always=bool()):
            return answer
        case Deny(reason=str(reason)):
            _check_length(reason)
            return answer
        case Choose(answers=Mapping() as answers) if all(
            isinstance(one, str) and isinstance(other, str) for one, other in answers.items()
        ):
            if len(answers) > MAX_ANSWERS:
                raise Refused(f"the answer has {len(answers):,} parts; at most {MAX_ANSWERS} are accepted")
            for text in (*answers, *answers.values()):
                _check_length(text)
            return Choose(MappingProxyType(dict(answers)))
        case Allow() | Deny() | Choose():
            raise Refused(f"{type(answer).__name__} must hold texts (Allow: true or false), and does not")
    raise Refused(f"an answer must be Allow, Deny or Choose, not {in_words(answer)}")


def check_words(value: object, what: str) -> str:
    """A text of an operator: a value, the name of a provider."""
    if not isinstance(value, str):
        raise Refused(f"{what} must be text, not {in_words(value)}")
    if len(value) > MAX_NAME:
        raise Refused(f"{what} has {len(value):,} characters; at most {MAX_NAME:,} are accepted")
    return join_surrogates(value)


def check_signature(value: object) -> str:
    """The name of the person who answers, cleaned and cut to 100 characters on one line."""
    return one_line(check_words(value, "the name of the one who answers"), 100)


def check_deadline(value: object) -> float:
    """Seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST_DEADLINE:
        return float(value)
    raise Refused(f"a deadline must be 0 to {LONGEST_DEADLINE:.0f} seconds, not {in_words(value)}")


def check_flag(value: object, what: str) -> bool:
    if isinstance(value, bool):
        return value
    raise Refused(f"{what} must be true or false, not {in_words(value)}")


def check_whole(value: object, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused(f"{what} must be a whole number, not {in_words(value)}")
    if abs(value) >= 10**MOST_DIGITS:
        raise Refused(f"{what} must be a whole number of at most {MOST_DIGITS} digits")
    return int(value)


def check_scale(value: object) -> int:
    """How many turns may run at once; whether that many can is the instance's to say."""
    return check_whole(value, "how many turns may run in parallel")


def _check_length(text: str) -> None:
    if len(text) > MAX_WORDS:
        raise Refused(f"the answer has {len(text):,} characters; at most {MAX_WORDS:,} are accepted")
