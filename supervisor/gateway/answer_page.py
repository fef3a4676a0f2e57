"""One question as a page that works in any browser, on a phone and without JavaScript.

Everything that an agent or a user wrote is escaped, and what cannot be seen in it is written out: nothing in it acts on
the page (R5).
"""

from __future__ import annotations

import base64
import hashlib
import time
from html import escape

from supervisor.api.answer_links import LinkedQuestion
from supervisor.api.questions import ChoiceItem, Question, QuestionKind, QuestionOutcome
from supervisor.text.cleaning import reveal

STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.25rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
.who { opacity: .75; margin: 0 0 1rem; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid; border-radius: .4rem; padding: .6rem;
  max-height: 45vh; overflow-y: auto; font-size: .875rem; }
.added { color: #1a7f37; } .removed { color: #cf222e; }
.warning { border-left: .3rem solid #cf222e; padding-left: .6rem; }
fieldset { border: 1px solid; border-radius: .4rem; margin: 0 0 1rem; }
label { display: block; padding: .4rem 0; }
input[type=text] { box-sizing: border-box; width: 100%; font: inherit; padding: .5rem; }
button { font: inherit; display: block; width: 100%; padding: .7rem; margin: 0 0 .6rem; border: 1px solid;
  border-radius: .4rem; cursor: pointer; }
.note { opacity: .75; font-size: .875rem; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}
_OTHER = "other"

_TOLD = {
    QuestionOutcome.APPROVED: "It was allowed",
    QuestionOutcome.DENIED: "It was denied",
    QuestionOutcome.EXPIRED: "No answer came in time: it has expired",
    QuestionOutcome.LOST: "It was lost: the turn or its process ended before an answer counted",
}


_SAMPLE = (
    "<p><code>bullpen hooks test</code> has sent this address. That of a question shows what an agent asks for, and "
    "takes the answer here.</p>"
)


def show_question(found: LinkedQuestion, proof: str, *, trouble: str = "") -> str:
    """The form, or what has become of the question. `trouble` is what was wrong with an answer that did not count."""
    question = found.question
    if found.is_sample:
        return _page("This was a sample", "", _SAMPLE)
    if found.outcome is not None:
        return _page(_heading(question), _who(question), f"<p>{_settled(found)}</p>", _matter(question))
    wrong = f'<p class="warning">{_text(trouble)}</p>' if trouble else ""
    return _page(_heading(question), _who(question), wrong, _matter(question), _form(question, proof))


def show_unknown() -> str:
    return _page(
        "This address answers no question",
        "",
        "<p>It is not valid, or not any more: bullpen may have been restarted since it was sent. "
        "<code>bullpen questions</code> lists those that are open.</p>",
    )


def show_answered(found: LinkedQuestion) -> str:
    return _page(_heading(found.question), _who(found.question), f"<p>{_settled(found)}</p>")


def _settled(found: LinkedQuestion) -> str:
    if found.outcome is None:
        return "Your answer has arrived. It counts as soon as the agent has it."
    told = _TOLD[found.outcome]
    if found.was_used:
        return f"{told}, by this address."
    return f"{told} by {_text(found.by)}." if found.by else f"{told}."


def _page(heading: str, who: str, *parts: str) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{heading}</title><style>{STYLE}</style></head>\n<body><main><h1>{heading}</h1>"
        f'<p class="who">{who}</p>\n{"".join(parts)}</main></body></html>\n'
    )


def _heading(question: Question) -> str:
    if question.kind is QuestionKind.CHOICE:
        return "An agent asks you to choose"
    return f"May {_text(question.tool)} run?"


def _who(question: Question) -> str:
    until = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(question.expires_at))
    return f"{_text(str(question.key))} · until {until}"


def _matter(question: Question) -> str:
    parts = [f'<p class="warning">{_text(one)}</p>' for one in question.warnings]
    if question.kind is not QuestionKind.CHOICE and (question.detail or question.summary):
        parts.append(f"<pre>{_text(question.detail or question.summary)}</pre>")
    if question.diff:
        parts.append(f"<p>What would change:</p><pre>{_diff(question.diff)}</pre>")
    parts += [f'<p class="note">{_text(one)}</p>' for one in question.notes]
    return "".join(parts)


def _diff(diff: str) -> str:
    rows = []
    for line in reveal(diff).split("\n"):
        kind = "added" if line.startswith("+") else "removed" if line.startswith("-") else ""
        rows.append(f'<span class="{kind}">{escape(line)}</span>' if kind else escape(line))
    return "\n".join(rows)


def _form(question: Question, proof: str) -> str:
    deny = (
        '<fieldset><legend>Or refuse</legend><label for="reason">Why, for the agent (may be left empty)</label>'
        '<input type="text" id="reason" name="reason" maxlength="2000" autocomplete="off">'
        '<p></p><button name="answer" value="deny">Deny</button></fieldset>'
    )
    if question.kind is QuestionKind.CHOICE:
        items = "".join(_item(number, item) for number, item in enumerate(question.choices))
        given = f'{items}<button name="answer" value="choose">Answer</button>'
    else:
        always = (
            f'<button name="answer" value="always">Always in this session</button>'
            f'<p class="note">That would allow: {_text(question.always)}</p>'
            if question.always
            else ""
        )
        given = f'<button name="answer" value="allow">Allow once</button>{always}'
    hidden = f'<input type="hidden" name="proof" value="{escape(proof, quote=True)}">'
    return f'<form method="post" action="" autocomplete="off">{hidden}{given}{deny}</form>'


def _item(number: int, item: ChoiceItem) -> str:
    kind = "checkbox" if item.multiple else "radio"
    options = "".join(
        f'<label><input type="{kind}" name="choice{number}" value="{place}"> {_text(label)}'
        + (f' <span class="note">{_text(about)}</span>' if about else "")
        + "</label>"
        for place, (label, about) in enumerate(item.options)
    )
    return (
        f"<fieldset><legend>{_text(item.question)}</legend>{options}"
        f'<label>Something else: <input type="text" name="{_OTHER}{number}" maxlength="2000"></label></fieldset>'
    )


def read_choice(number: int, item: ChoiceItem, fields: dict[str, list[str]]) -> str:
    """The labels that were chosen, or the words in their place; empty when there are neither."""
    if words := next((one.strip() for one in fields.get(f"{_OTHER}{number}", []) if one.strip()), ""):
        return words
    places = [one for one in fields.get(f"choice{number}", []) if one.isascii() and one.isdigit() and len(one) < 4]
    chosen = [item.options[int(one)][0] for one in dict.fromkeys(places) if int(one) < len(item.options)]
    return ", ".join(chosen if item.multiple else chosen[:1])


def _text(text: str) -> str:
    return escape(reveal(text), quote=True)
