"""What callers hand in, looked at before anything is changed.

Every function returns the value as the engine may use it, or raises a `Refused` with one line that names the thing and
what it should be. None of them changes anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from supervisor.api.automation import MOST_DEPTH
from supervisor.api.errors import InvalidPrompt, Refused, UnknownTarget
from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Priority, Prompt, Source
from supervisor.api.questions import Allow, Answer, Choose, Deny
from supervisor.text.cleaning import clean, one_line
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
MAX_NAME = 1_000
"""Characters of a name or an id in a verb: no name that exists is as long."""
LONGEST_DEADLINE = 7 * 86400.0
"""Seconds a drain may be told to wait."""


def check_prompt(prompt: object) -> Prompt:
    """A checked copy, with source and priority as enumeration members. Ids are checked by `addressing`. Raises
    `InvalidPrompt`."""
    if not isinstance(prompt, Prompt):
        raise InvalidPrompt(f"a prompt must be a Prompt, not {in_words(prompt)}")
    return Prompt(
        agent=prompt.agent,
        text=check_text(prompt.text),
        user=prompt.user,
        session=prompt.session,
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
    return text


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


def check_recent(value: object) -> int:
    """The number of past events that a reader asks for. Raises `Refused` when it is no number in range."""
    return 0 if value == 0 else check_count(value, MOST_RECENT, "how many recent events")


def check_name(value: object, what: str) -> str:
    """A name or id that something is looked up by. Raises `UnknownTarget`: nothing can be called that."""
    if not isinstance(value, str):
        raise UnknownTarget(f"{what} must be text, not {in_words(value)}")
    if len(value) > MAX_NAME:
        raise UnknownTarget(f"{what} has {len(value):,} characters: nothing is called that")
    return value


def check_key(value: object) -> SessionKey:
    """Three texts; a plain tuple of them will do."""
    if isinstance(value, tuple) and len(value) == 3 and all(isinstance(part, str) for part in value):
        return SessionKey(*value)
    raise UnknownTarget(f"a session is named by a SessionKey of three texts, not by {in_words(value)}")


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
    """A text of an operator: a limit's name, a value."""
    if not isinstance(value, str):
        raise Refused(f"{what} must be text, not {in_words(value)}")
    if len(value) > MAX_NAME:
        raise Refused(f"{what} has {len(value):,} characters; at most {MAX_NAME:,} are accepted")
    return value


def check_signature(value: object) -> str:
    """The name of the person who answers, cleaned and cut to 100 characters on one line."""
    return one_line(check_words(value, "the name of the one who answers"), 100)


def check_deadline(value: object) -> float:
    """Seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST_DEADLINE:
        return float(value)
    raise Refused(f"a deadline must be 0 to {LONGEST_DEADLINE:.0f} seconds, not {in_words(value)}")


def check_whole(value: object, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused(f"{what} must be a whole number, not {in_words(value)}")
    return int(value)


def _check_length(text: str) -> None:
    if len(text) > MAX_WORDS:
        raise Refused(f"the answer has {len(text):,} characters; at most {MAX_WORDS:,} are accepted")
