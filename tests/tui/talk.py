"""A transcript in an app of its own, and conversations to show in it."""

from __future__ import annotations

from textual.app import App, ComposeResult

from supervisor import Asked, Done, Question, QuestionKind, Replied, SessionKey, Source, TurnEnded, Usage
from supervisor.conversation import Conversation
from tui.transcript.transcript import Transcript

AT = 1_700_000_000.0
KEY = SessionKey("helpdesk", "ana", "one")

REPLY = """I looked at it:

1. first
2. second

```python
x = 1
```

| a | b |
|---|---|
| 1 | 2 |

That is **all**."""


class TranscriptApp(App[None]):
    CSS = "Transcript { height: 1fr; }"

    def __init__(self, conversation: Conversation | None = None) -> None:
        super().__init__()
        self.transcript = Transcript()
        self.conversation = Conversation() if conversation is None else conversation

    def compose(self) -> ComposeResult:
        yield self.transcript

    def on_mount(self) -> None:
        self.transcript.show(self.conversation)
        self.transcript.focus()

    @property
    def lines(self) -> list[str]:
        """What is on screen."""
        return [self.transcript.render_line(y).text.rstrip() for y in range(self.transcript.size.height)]

    @property
    def whole(self) -> list[str]:
        """Every line of the transcript, drawn now, without bars."""
        transcript = self.transcript
        stack = transcript._stack
        for index in range(len(stack)):
            stack.draw(index)
        strips = [transcript._line(line)[0] for line in range(stack.total)]
        return ["" if strip is None else strip.text.rstrip() for strip in strips]


def asked(text: str, turn: str = "t1", user: str = "ana", source: Source = Source.CALLER) -> Asked:
    return Asked(at=AT, turn_id=turn, text=text, source=source, user=user)


def replied(text: str, turn: str = "t1") -> Replied:
    return Replied(at=AT + 1, turn_id=turn, text=text)


def ended(turn: str = "t1") -> TurnEnded:
    return TurnEnded(at=AT + 2, turn_id=turn, outcome=Done("", Usage(1_200, 34, 0, 0.0123), 2.0))


def a_question(name: str = "q1") -> Question:
    return Question(
        name,
        QuestionKind.PERMISSION,
        KEY,
        "t1",
        "helpdesk-1",
        "Write",
        "/srv/x.py",
        '{"path": "/srv/x.py"}',
        AT,
        AT + 60,
    )


def a_history(turns: int) -> Conversation:
    conversation = Conversation()
    for turn in range(turns):
        conversation.append(asked(f"question {turn}", f"t{turn}"))
        conversation.append(replied(f"answer {turn}\n\n{REPLY}", f"t{turn}"))
        conversation.append(ended(f"t{turn}"))
    return conversation
