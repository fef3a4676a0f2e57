"""The helpdesk: for all staff, patient, knows the building."""

from __future__ import annotations

from supervisor.rehearsal.repertoire.topic import Appointment, NoteFile, OpenChoice, Role, Topic

_FIRST_DAY = """\
## {title}: the whole way, once

Most of it takes **ten minutes**. Here is the order that works; skip nothing, it bites later.

### Before you begin

- your badge, because the phone alone is not enough
- a cable connection if you can get one
- the *old* device, if there is one, still charged

### Step by step

1. Sign in to the portal and open **Devices → Add**.
2. Scan the code with your phone. It shows a number; type it in.
3. Let it restart. The second start is slow (about four minutes); it is encrypting the disk.
4. Open the company store and take the three things with a star.

| what            | where to find it | takes  |
|-----------------|------------------|-------:|
| mail, calendar  | company store    |  2 min |
| VPN profile     | company store    |  1 min |
| printer drivers | by themselves    |  5 min |
| shared drives   | portal → *Files* |  3 min |

### If something is off

> The portal says *“device is not compliant”*.

That is the clock. Set it to automatic, wait a minute, try again. It really is the clock.

For those who like a terminal, this tells in one line what is missing:

```sh
device-check --brief || echo "show this to the helpdesk"
```

When all four rows above are green you are done. And if anything gives you trouble again next week, just ask
here; I keep what we did today.
"""

_VPN = Topic(
    ("vpn", "tunnel", "remote", "home", "outage", "down", "dropped", "negotiating"),
    (
        "Let us get you through. Quit the client *completely* (it hides in the menu bar), open it again and "
        "choose **gateway-2**. Gateway 1 was restarted this morning, and clients that were connected at that time "
        "cling to a dead tunnel. If it still says “negotiating” after ten seconds, tell me and I will look at your "
        "certificate.",
        "That usually comes from the hotel or train network asking for a login page first. Open any plain web page, "
        "accept the terms, *then* connect. I would also switch to “TCP 443” under Settings → "
        "Transport: slower, but it gets through nearly everywhere.",
    ),
)
_PASSWORD = Topic(
    ("password", "login", "log", "locked", "account", "mfa", "authenticator"),
    (
        "No harm done, that happens to five people every Monday. I see three failed sign-ins and then the "
        "fifteen-minute lock; it opens by itself at the next quarter hour.\n\n1. Wait for the lock to open.\n2. "
        "Choose *Forgot password* on the portal.\n3. Confirm on your phone.\n\nThe new one counts for mail, wiki and "
        "time sheet alike.",
        "Your account itself is healthy; it is the second factor that moved with your new phone. Come by with your "
        "badge (room 2.14, until five) or ask your lead to confirm you by phone, and I will pair the new one in two "
        "minutes.",
    ),
    choice=OpenChoice(
        "Where shall I send the one-time code?",
        "Code",
        (
            ("Phone", "A text message to the number in the directory"),
            ("Front desk", "Printed, handed out against your badge"),
        ),
        "Sent: **{choice}**. The code is good for twenty minutes and works once. Choose a new password straight after.",
    ),
)
_PRINTER = Topic(
    ("printer", "print", "printing", "scanner", "scan", "toner", "paper"),
    (
        "The printer on the third floor has been sulking since lunch: tray 2 reports “open” although it is not. Lift "
        "it, push until it clicks, and your job should run at once; it is still in the queue. Until it is repaired, "
        "`print-4-west` is ten steps further and has fresh toner.",
        "Two jobs are stuck in front of yours, both a 96-page slide deck. I have moved them to the end. Yours should "
        "come out in about a minute. If it asks for A3, press *Continue*: the driver is wrong, the paper "
        "is right.",
    ),
    note=NoteFile(
        "printer-third-floor.md",
        "# Printer, third floor\n\n- Symptom: tray 2 reports open\n- Workaround: `print-4-west`\n- Technician: "
        "ordered for tomorrow, 9:00\n- Told: everybody who had a job in the queue\n",
        "I will write a ticket so that nobody has to explain this twice.",
        "The ticket is written: technician tomorrow at nine, and a note to everybody whose job was waiting.",
    ),
)
_LEAVE = Topic(
    ("leave", "holiday", "vacation", "days", "sick", "parental"),
    (
        "You have **11.5 days** left this year; five of them must be taken by the end of March or they lapse. "
        "Requests go through *People → Time off*, and your lead has three working days to answer. Around public "
        "holidays I would ask early: two of your team are already away that week.",
        "For sick leave a message to your lead before ten is enough; a certificate is needed from the third day on. "
        "Get well first, the form can wait: *People → Absence*, backdating is allowed for a week.",
    ),
)
_TRAVEL = Topic(
    ("travel", "trip", "train", "flight", "hotel", "expense", "expenses", "taxi", "conference"),
    (
        "Trains are booked second class without approval up to 200; above that, and for every flight, "
        "your lead signs first. Hotels up to 140 a night. Keep the receipt *and* the booking mail: bookkeeping asks "
        "for both.",
        "Good news: the per-diem was raised in April. Under eight hours nothing, up to a full day 15, beyond that "
        "30. Make one claim per trip, not one per receipt, and it is paid with the next salary.",
    ),
    choice=OpenChoice(
        "How would you like to travel?",
        "Transport",
        (
            ("Train", "4 h 10, one change, no approval needed"),
            ("Flight", "1 h 20 in the air, needs your lead's approval"),
            ("Car pool", "A colleague drives on the same day and has two seats"),
        ),
        "**{choice}** it is. I have put the times into your calendar as tentative; confirm them and the booking goes "
        "out.",
    ),
)
_HARDWARE = Topic(
    ("laptop", "screen", "monitor", "keyboard", "mouse", "headset", "battery", "dock", "docking", "computer", "slow"),
    (
        "Flickering nearly always is the cable, not the screen. Swap it for one with the small **8K** print near the "
        "plug (drawer in 2.14, take two). If the screen still blinks, unplug the dock for half a minute; its "
        "firmware has a bad day now and then.",
        "Your machine is 38 months old and due for exchange anyway. I can do Thursday at ten or Friday at two; it "
        "takes forty minutes and your files come along by themselves. Until then: close the second browser, it alone "
        "holds 9 GB.",
    ),
    guide=_FIRST_DAY,
    choice=OpenChoice(
        "When shall we exchange the laptop?",
        "Appointment",
        (("Thursday 10:00", "Forty minutes, coffee included"), ("Friday 14:00", "Forty minutes, quieter")),
        "**{choice}** is yours, room 2.14. Bring the charger too: the new model uses another one.",
    ),
    appointment=Appointment(
        "Room 2.14: a colleague looks at the {subject}",
        "That is quicker looked at than talked about. I enter a quarter of an hour for us.",
        "Come by on {day} at ten, room 2.14; it stands in your calendar. Until then the cable from drawer two is "
        "worth a try.",
    ),
)
_ROOM = Topic(
    ("room", "meeting", "projector", "desk", "booking", "whiteboard", "badge"),
    (
        "“Aquarium” is taken until four, but **“Lighthouse”** next door is free from 13:30, has the better "
        "microphone and seats eight. I have held it for you for fifteen minutes; press *Confirm* in the invitation.",
        "The projector wakes only when the table panel is touched first. Yes, really. Touch, wait for the chime, "
        "then plug in. With guests, ask the front desk for visitor badges the day before.",
    ),
    appointment=Appointment(
        "Lighthouse: meeting room for eight",
        "“Lighthouse” is free, seats eight, and its projector works. Shall I put it down for you?",
        "**Lighthouse** is yours on {day} at ten; it stands in your calendar. For guests, ask the front desk for "
        "badges the day before.",
    ),
)
_WIFI = Topic(
    ("wifi", "wi-fi", "wlan", "network", "internet", "connection", "loads", "gone"),
    (
        "Floor 4 has been on one access point instead of three since eleven; the other two come back at about two. "
        "Near the kitchen it is fine. If you need it for a call, the cable at any red desk socket is live.",
        "Forget the network *office-guest* on your device: it prefers that one, and guests are slowed down at noon. "
        "*office* has all the room you want.",
    ),
)
_MAIL = Topic(
    ("mail", "email", "outlook", "calendar", "inbox", "invitation", "spam", "phishing"),
    (
        "Thank you for asking before clicking. That one is **phishing**: the sender's domain has a digit one where "
        "an L belongs. Forward it as an attachment to the security mailbox and delete it. Nothing was opened, so "
        "nothing needs to be changed.",
        "Shared calendars moved last night, so some of them show up twice until you remove the old one: right "
        "click → *Remove from list*. The entries themselves are all there, I checked yours.",
    ),
)
_ARRIVAL = Topic(
    ("colleague", "first", "onboarding", "newcomer", "starts", "arrival", "setup"),
    (
        "A new colleague needs four things on the first day: badge, laptop, a desk that is *not* next to the "
        "printer, and somebody to have lunch with. The first three I order now; tell me the name and the floor.",
        "Added to the list, and the parking badge with it: it takes two days, so I asked for a visitor's one in "
        "between.",
    ),
    guide=_FIRST_DAY,
)
_OTHERWISE = Topic(
    (),
    (
        "I had a look at {subject}. It is not in the handbook under that name, but there are two notes from spring "
        "which fit: the first says whom to ask (the floor coordinator), the second that it takes two working days. "
        "Shall I ask for you?",
        "Happy to help with {subject}. The short way: write one sentence about what you expected and one about what "
        "happened, and I take it from there. From what you say I would first try it in a fresh browser window; that "
        "settles about half of these.",
        "For {subject} the answer changed this month: it is now self-service. Portal → *My things* → *Requests*. It "
        "asks three questions, and the second one is optional although it does not look it.",
    ),
    guide=_FIRST_DAY,
    note=NoteFile(
        "request.md",
        "# Request: {title}\n\nFiled by the helpdesk on behalf of the caller.\n\n- Expected: works as the handbook "
        "says\n- Next step: floor coordinator, two working days\n",
        "Let me file {subject} properly so that it does not get lost.",
        "Filed. You will hear from the floor coordinator within two working days, and so will I.",
    ),
)


HELPDESK = Role(
    "helpdesk",
    ("helpdesk", "help desk", "staff", "support"),
    (_ARRIVAL, _VPN, _PASSWORD, _PRINTER, _LEAVE, _TRAVEL, _HARDWARE, _ROOM, _WIFI, _MAIL),
    _OTHERWISE,
)
