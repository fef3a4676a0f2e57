"""The lookup tool: one question, one fact, where it comes from."""

from __future__ import annotations

from supervisor.rehearsal.repertoire.topic import Role, Topic

_CARD = """\
### {title}

| field    | value                     |
|----------|---------------------------|
| status   | **active**                |
| owner    | Mirela Kovač, ext. 4417   |
| location | 3.21, shelf C-3           |
| changed  | 11 days ago, by the owner |
| source   | register, line 318        |

Two older entries carry the same name and are archived.
"""

_PERSON = Topic(
    ("extension", "phone", "number", "who", "person", "team", "lead", "contact", "owner"),
    (
        "**Ext. 4417**, Mirela Kovač, facilities, room 1.08, until 16:30. *(directory, today)*",
        "**Jonas Weber** leads the team since March; deputy Aïcha Benali, ext. 2290. *(organisation chart, rev. 31)*",
    ),
    guide=_CARD,
)
_PLACE = Topic(
    ("room", "floor", "where", "desk", "building", "address", "parking"),
    (
        "**3.21**, third floor west, past the kitchen on the left; seats 12. *(floor plan, May)*",
        "Second underground level, **bays 40 to 46**; the barrier opens with your badge. *(facilities handbook, p. 9)*",
    ),
)
_RATE = Topic(
    ("rate", "price", "cost", "per", "diem", "vat", "exchange", "limit", "allowance"),
    (
        "**30.00** for a full day, 15.00 from eight hours on; breakfast takes off 5.60. *(travel rules, April)*",
        "**19 %**, reduced 7 % for books and food. Services: the full rate. *(tax table, current)*",
    ),
)
_TIME = Topic(
    ("when", "open", "opening", "hours", "deadline", "date", "holiday", "day"),
    (
        "Monday to Thursday **8:00–17:00**, Friday until 14:00; closed on the 24th. *(front desk)*",
        "**The 10th of the month, 12:00.** If that is a weekend, the Friday before. *(calendar of the finance team)*",
    ),
)
_ORDER = Topic(
    ("order", "part", "stock", "serial", "item", "parcel", "delivery"),
    (
        "**In stock: 14.** Shelf C-3, next delivery in nine days. *(stock list, 6 minutes old)*",
        "The parcel is **at the front desk since 10:52**, signed by R. Ortiz. *(post book)*",
    ),
    guide=_CARD,
)
_OTHERWISE = Topic(
    (),
    (
        "One entry for {subject}: *see “General”, line 12*, last changed in May. Nothing newer on record.",
        "**Yes.** {subject} is listed as active, reviewed eleven days ago. *(register, line 318)*",
        "Nothing under {subject}. Closest match: **“{subject}, archived”** from 2023; shall I read that one?",
    ),
    guide=_CARD,
)


LOOKUP = Role(
    "lookup",
    ("lookup", "look up", "look things up", "reference"),
    (_PERSON, _PLACE, _RATE, _TIME, _ORDER),
    _OTHERWISE,
)
