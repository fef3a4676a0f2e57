"""Notices for people: one text, in the shape that each webhook wants."""

from __future__ import annotations

from typing import Any

from supervisor.api.automation import Action, Flavour, Payload
from supervisor.automation.attempt import Attempt
from supervisor.automation.http_action import Sender
from supervisor.automation.substitution import fill
from supervisor.text.cleaning import clean

MOST_TEXT = 3_000
"""Characters of a notice; Slack and Telegram take 4,000 or so."""
OF_A_QUESTION = "{instance}/{user}/{session} asks for {tool}: {summary}"
OF_ANYTHING = "{event} {instance}/{user}/{session}"
LABEL = "Answer"


async def send_notice(sender: Sender, action: Action, attempt: Attempt, payload: Payload, link: str) -> str:
    """Sends a notice, and returns what came of it on one line. Raises `ActionFailed`."""
    standard = OF_A_QUESTION if "tool" in payload else OF_ANYTHING
    text = clean(fill(action.text or standard, {**payload, "answer_url": link}))[:MOST_TEXT]
    body, url = shape(action, text, link, payload), ""
    if action.flavour is Flavour.NTFY:
        # The address ends with the topic; what is JSON goes to the server itself, and names the topic.
        values, _ = sender.resolve({"url": action.url}, attempt.folder)
        url, _, body["topic"] = values.get("url", "").rstrip("/").rpartition("/")
    answer = await sender.send(action, attempt, body, url)
    return f"answered {answer.status}"


def shape(action: Action, text: str, link: str, payload: Payload) -> dict[str, Any]:
    """The JSON for that kind of webhook. `link` is empty when there is none."""
    match action.flavour:
        case Flavour.SLACK:
            told = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            return {"text": f"{told}\n<{link}|{LABEL}>" if link else told, "unfurl_links": False}
        case Flavour.TELEGRAM:
            told = f"{text}\n{link}" if link else text
            return {"chat_id": action.chat, "text": told, "link_preview_options": {"is_disabled": True}}
        case Flavour.NTFY:
            button = {"action": "view", "label": LABEL, "url": link}
            return {"message": text, **({"click": link, "actions": [button]} if link else {})}
    return {**payload, "text": text, **({"answer_url": link} if link else {})}
