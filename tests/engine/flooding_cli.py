"""A program that speaks the CLI's protocol and floods whoever reads it, in the way its prompt says: `stderr 200`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

MB = 1_000_000
LINE = {"uuid": "u", "session_id": "s"}


def write(**line: object) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def delta(text: str) -> None:
    event = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}
    write(type="stream_event", event=event, **LINE)


def say(text: str) -> None:
    write(type="assistant", message={"role": "assistant", "model": "m", "content": [{"type": "text", "text": text}]})


def stderr(amount: int) -> None:
    for _ in range(amount):
        os.write(2, b"x" * MB)


def stderr_that_is_no_text(amount: int) -> None:
    for _ in range(amount):
        os.write(2, b"\xff" * MB)


def stdout(amount: int) -> None:
    """One line that never ends."""
    for _ in range(amount):
        os.write(1, b"{" + b"x" * MB)


def noise(amount: int) -> None:
    """Lines that are no messages."""
    for _ in range(amount):
        os.write(1, b"x" * (MB - 1) + b"\n")


def fragments(amount: int) -> None:
    for _ in range(amount):
        delta("word " * (MB // 5))


def blocks(amount: int) -> None:
    for _ in range(amount):
        say("word " * (MB // 5))


def retries(amount: int) -> None:
    for attempt in range(amount):
        write(
            type="system", subtype="api_retry", attempt=attempt, max_retries=amount, retry_delay_ms=1, error_status=529
        )


def tools(amount: int) -> None:
    """Each with an input of its own: an agent that repeats one call is stopped."""
    for number in range(amount):
        words = f"{number} {'y' * 100_000}"
        call = {"type": "tool_use", "id": f"t{number}", "name": "Read" * 1_000, "input": {"x": words}}
        write(type="assistant", message={"role": "assistant", "model": "m", "content": [call]})


KINDS: dict[str, Callable[[int], None]] = {
    kind.__name__: kind for kind in (stderr, stderr_that_is_no_text, stdout, noise, fragments, blocks, retries, tools)
}


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "control_request":
            response = {"subtype": "success", "request_id": message["request_id"], "response": {}}
            write(type="control_response", response=response)
        elif message["type"] == "user":
            kind, _, amount = message["message"]["content"].partition(" ")
            if kind in KINDS:
                KINDS[kind](int(amount))
            write(
                type="result",
                subtype="success",
                duration_ms=1,
                duration_api_ms=1,
                is_error=False,
                num_turns=1,
                session_id="s",
                result="fine",
                user_message_uuids=[message["uuid"]],
            )
            write(type="system", subtype="session_state_changed", state="idle")


if __name__ == "__main__":
    main()
