"""What the simulated callers come with: short conversations, in the order in which people have them."""

from __future__ import annotations

HELPDESK = (
    (
        "My laptop screen keeps flickering since this morning.",
        ("The other cable is in. Better, but it still blinks now and then."),
    ),
    ("How do I get into the VPN from the train?", "It says “negotiating” for ever.", "That was it, thank you!"),
    ("I am locked out of my account after the holiday.", "Where do I find the one-time code?"),
    ("The printer on the third floor eats my paper.", "Could you put that into a ticket for the technician?"),
    ("How many days of leave do I have left this year?", "And does sick leave count against parental leave?"),
    ("I need a meeting room for eight people on Thursday.", "With a projector that works, please."),
    ("I got an odd mail about an unpaid parcel, is that spam?",),
    ("Can I book a flight for the conference in Porto?", "And which hotel limit applies there?"),
    ("The wifi on floor four drops every few minutes.", "Near the kitchen it works, thanks for the hint."),
    ("My new headset is not recognised by the dock.", "Different port, same silence."),
    ("What does a new colleague need on the first day?", "Could you add the parking badge to that?"),
)

ADMIN = (
    ("Who still has write access to the billing group?", "Please limit the two oldest accounts."),
    ("Did all backups finish last night?", "Prepare a restore plan for the wiki files, please."),
    ("The build server is slow, is the disk full?", "Clean the caches older than a month."),
    ("Plan the rollout of release 4.2.1 to all nodes.", "How would we roll back?"),
    ("Which certificates expire this month?",),
    ("Summarise the sign-in log for the audit report.", "Anything from outside the country?"),
)

CLERK = (
    ("Please book the invoice of Brandt Office Supplies, 1,475.60.", "The delivery note lists 38 pieces, by the way."),
    ("Check the travel receipts of the Porto trip.", "The taxi receipt has no date, what now?"),
    ("How far is the month-end closing?", "What is still missing for the bank reconciliation?"),
    ("Which customers are overdue?", "Send the friendly reminder to the first three."),
    ("Does reverse charge apply to the Danish design studio?",),
    ("Reconcile the petty cash box, it is 12 euros short.",),
    ("Prepare the VAT declaration for the quarter.", "Put a note to the file about the machine sale."),
)

LOOKUP = (
    ("Phone extension of facilities?",),
    ("Where is room 3.21?",),
    ("Per diem for a full day abroad?",),
    ("Opening hours of the front desk on Fridays?",),
    ("Who leads the data platform team?",),
    ("Has the parcel from Brandt arrived?",),
)

ERRANDS = {"helpdesk": HELPDESK, "admin": ADMIN, "clerk": CLERK, "lookup": LOOKUP}
"""By the name of the agent that is asked."""

ALARM = (
    "Is the VPN down for everybody?",
    "My connection just dropped, is it only me?",
    "Are you aware of a network problem right now?",
    "Nothing loads since a minute ago, what happened?",
    "Is there an outage? I have a customer on the phone.",
    "The wifi and the phone are gone at my desk.",
    "When will the network be back?",
)
"""What every caller asks the helpdesk in a rush."""
