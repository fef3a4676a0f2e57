"""The bookkeeping clerk: one colleague, one desk, everything twice checked."""

from __future__ import annotations

from supervisor.rehearsal.repertoire.topic import NoteFile, OpenChoice, Role, Topic

_CLOSE_OUT = """\
## {title}: where we stand

*Everything below is as of this morning; figures in euros.*

### In short

- Bank: **reconciled**, difference 0.00
- Payables: 3 invoices wait for a signature
- Receivables: 9,310.00 overdue, none older than 34 days

### The sheet

| account | name              |       debit |      credit |
|--------:|-------------------|------------:|------------:|
|    1200 | bank              |   48,211.06 |             |
|    1400 | receivables       |   31,904.50 |             |
|    3310 | payables          |             |   22,475.60 |
|    3806 | VAT payable       |             |    4,182.17 |
|    2900 | capital and result|             |   53,457.79 |
|         | **sum**           |**80,115.56**|**80,115.56**|

### Open points, in the order I will take them

1. The telecom bill, expected before noon. Accrued with 310.00 if it does not come.
2. The 12.00 in suspense. Probably the coffee fund; I have asked.
3. Two signatures on the payment run.

> Rule of the house: nothing leaves on a Friday afternoon.

The check I run before I call it closed:

```python
assert sum(line.debit for line in sheet) == sum(line.credit for line in sheet)
```

When point 3 is done I lock the period. Anything you still have for me, please before four.
"""

_INVOICE = Topic(
    ("invoice", "invoices", "bill", "bills", "supplier", "vendor"),
    (
        "Booked {subject}. Net 1,240.00, VAT 19 % 235.60, together **1,475.60**; cost centre 4711 as always with "
        "this supplier. Due on the 28th; with 2 % discount until Friday we would save 29.51, so I put it into "
        "Thursday's run.",
        "I stopped at one point: the order says 40 pieces, the delivery note 38, and the invoice 40. I have asked "
        "the supplier for a credit over two. Everything else is in order and waits in *blocked*.",
    ),
    choice=OpenChoice(
        "The order says 40 pieces, the delivery note 38. What shall I book?",
        "Quantity",
        (
            ("38 as delivered", "Shorten the payment, tell the supplier"),
            ("40 as invoiced", "Pay in full, the rest is on its way"),
            ("Wait", "Block it until the supplier has answered"),
        ),
        "Noted: **{choice}**. The supplier gets two friendly lines, and the entry carries your decision and today's "
        "date.",
    ),
    note=NoteFile(
        "journal-entry.md",
        "# Journal entry\n\n| account | text            |    debit |   credit |\n"
        "|--------:|-----------------|---------:|---------:|\n|    6300 | goods, net      | 1,240.00 |          |\n"
        "|    1406 | input VAT 19 %  |   235.60 |          |\n|    3310 | payables        |          | 1,475.60 |\n\n"
        "Debit = credit: 1,475.60\n",
        "Let me write the entry down; I like to see both sides equal before I let go of it.",
        "The entry is in `{file}`, both sides 1,475.60. It goes into today's batch.",
    ),
)
_RECEIPT = Topic(
    ("receipt", "receipts", "claim", "claims", "expense", "expenses", "reimburse", "travel", "taxi"),
    (
        "Seven receipts, six legible. The taxi on the 12th has no date: a photo of the back, please, or one sentence "
        "from the traveller. The other six come to **214.35** and are paid with the next salary.",
        "Claim checked: two nights within the limit, breakfast taken off the per-diem (5.60 twice), "
        "and the tip is private however kind. That leaves **386.80**.",
    ),
)
_CLOSING = Topic(
    ("month", "closing", "close", "month-end", "quarter", "reconcile", "reconciliation", "balance", "accrual"),
    (
        "State of the closing: bank reconciled to the cent, 3 accruals open, 1 suspense item of 12.00 that annoys me "
        "personally. If the telecom bill arrives by noon, the period is closed today.",
        "Reconciled: 212 of 214 lines matched by themselves. The two others are one customer paying two invoices in "
        "a single transfer, minus 3 % he likes to take. I split it and put the difference on *discounts granted*.",
    ),
    guide=_CLOSE_OUT,
)
_DUNNING = Topic(
    ("reminder", "overdue", "dunning", "owe", "owes", "late", "unpaid", "customer"),
    (
        "Four customers are late; together 9,310.00, the oldest 34 days. Three get the friendly letter. The fourth "
        "always pays on the fifth of the month, so a letter would cost more goodwill than it earns: I wait until the "
        "sixth.",
        "The first reminder to the machine shop went out on the 3rd, no answer. I would phone before the second one; "
        "it is a small firm and the bookkeeper works mornings only.",
    ),
    guide=_CLOSE_OUT,
)
_TAX = Topic(
    ("vat", "tax", "rate", "declaration", "reverse", "eu"),
    (
        "Reverse charge applies: a service, from another country of the union, both sides with a VAT number. So it "
        "is booked net, with tax and input tax against each other. Effect on the payment: none; effect on the "
        "declaration: two lines.",
        "The declaration is prepared: payable **4,182.17**, 6 % above last month because of one large machine sale. "
        "Due on the 10th, and I will not send it before somebody with a signature has looked.",
    ),
    guide=_CLOSE_OUT,
)
_OTHERWISE = Topic(
    (),
    (
        "Done with {subject}. I filed it under the running number 2,207 and checked it against last month: same "
        "supplier, same amount, one day earlier. Nothing strange.",
        "{subject} is on my desk and next in line. I need one thing: which cost centre carries it? Last year it was "
        "4711; if that still holds, no answer is an answer.",
        "I went through {subject} twice. First time 18 cents off, second time not; it was my own rounding. The clean "
        "sheet is attached to the entry.",
    ),
    guide=_CLOSE_OUT,
    note=NoteFile(
        "ledger-note.md",
        "# Note to the file\n\nSubject: {title}\n\n- checked twice, no difference left\n- filed under 2,207\n- "
        "cost centre 4711, as last year\n",
        "A short note to the file, so that the auditors find {subject} without me.",
        "Filed. Number 2,207, cost centre 4711; the note lies next to the entry.",
    ),
)


CLERK = Role(
    "clerk",
    ("clerk", "bookkeep", "accounting", "invoice"),
    (_INVOICE, _RECEIPT, _CLOSING, _DUNNING, _TAX),
    _OTHERWISE,
)
