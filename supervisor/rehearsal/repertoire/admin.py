"""The administrator: for the few who run things; brief, exact, careful."""

from __future__ import annotations

from supervisor.rehearsal.repertoire.topic import NoteFile, OpenChoice, Role, Topic

_REVIEW = """\
## Review: {title}

**Verdict: safe to go on, with two conditions.** Details below, most urgent first.

### Findings

1. *One* service account can write where it only needs to read.
2. The restore test is 26 days old (limit: 30).
3. Four machines answer with last year's package list.

| area        | state    | since    | what to do                  |
|-------------|----------|----------|-----------------------------|
| accounts    | **amber**| 3 weeks  | narrow one role             |
| backups     | green    | —        | restore test before Friday  |
| patches     | amber    | Tuesday  | window tonight, 35 minutes  |
| certificates| green    | —        | nothing for 12 days         |

### The commands, for the record

```sh
# what would change, without changing it
fleet plan --only patches --window tonight
# and then, watched
fleet apply --pairs --pause 10m --abort-above 0.05%
```

### Conditions

- The role in finding 1 is narrowed **before** the window, otherwise we patch with the door open.
- Somebody is reachable until 19:30. It does not have to be you.

> Way back: every step keeps the previous state for seven days. The longest way back takes six minutes.

I have changed nothing. Tell me *go*, *not today*, or what I have missed about {subject}.
"""

_ACCESS = Topic(
    ("access", "permission", "permissions", "role", "group", "grant", "user", "users", "account", "accounts"),
    (
        "Checked {subject}: membership comes from two groups, `ops-readers` by hire date and `billing-writers` by "
        "hand. The second has no end date. I suggest 90 days and a renewal note to the owner; nothing breaks if you "
        "say yes.",
        "Three accounts match {subject}. One has not signed in for 142 days and still holds a token. I would disable "
        "it (not delete), keep its mailbox for 30 days and tell its manager. Say the word.",
    ),
    guide=_REVIEW,
    choice=OpenChoice(
        "How long shall the access last?",
        "Duration",
        (
            ("One day", "Ends tomorrow at 18:00"),
            ("One week", "Ends on Friday at 18:00"),
            ("90 days", "Renewal note to the owner on day 80"),
        ),
        "Set to **{choice}**, with the reason from your prompt on record. It ends by itself; nobody has to remember "
        "it.",
    ),
)
_BACKUP = Topic(
    ("backup", "backups", "restore", "snapshot", "recovery"),
    (
        "Last night: **41 of 41** jobs finished, longest 52 minutes. One warning: `wiki-files` grew by 18 GB, nearly "
        "all of it one video. The last *restore* test is 26 days old; ours should be younger than 30. Shall I queue "
        "one for tonight?",
        "I can offer three points in time: 02:00 today, 02:00 yesterday, Sunday. The restore goes into a side "
        "folder first, so that nothing current is overwritten; swapping it in is one command and yours to give.",
    ),
    guide=_REVIEW,
    note=NoteFile(
        "restore-plan.md",
        "# Restore plan\n\n1. Restore into `restore/` beside the original\n2. Compare counts and ten files at "
        "random\n3. Freeze writers\n4. Swap\n5. Keep the old copy for seven days\n\nWay back at every step: stop "
        "before 4.\n",
        "Before anybody touches it, the plan in writing.",
        "The plan is in `{file}`. Steps 1 and 2 are harmless at any hour; 3 and 4 want ten quiet minutes.",
    ),
)
_CAPACITY = Topic(
    ("disk", "space", "memory", "cpu", "load", "capacity", "full", "quota", "slow", "latency"),
    (
        "Two volumes deserve a look: `/srv/build` at 87 % (caches, 61 GB older than a month) and `/var/log` at 74 % "
        "with one service writing 1.2 GB a day since Tuesday. The first is housekeeping; the second is a bug with a "
        "date.",
        "p95 went from 180 to 410 ms at 10:40, exactly when the nightly report was started by hand. It is not the "
        "machine, it is the database waiting for one large sort. It will be over by 11:15; next time the replica can "
        "carry it.",
    ),
)
_RELEASE = Topic(
    ("deploy", "deployment", "release", "rollout", "restart", "update", "upgrade", "patch", "maintenance", "server"),
    (
        "Proposal for {subject}: drain, update one node, watch for ten minutes, then the rest in pairs. Total 35 "
        "minutes, no downtime, way back at each step. The only irreversible part is the schema change, and that one "
        "waits until tomorrow.",
        "Version 4.2.1 is on two of six nodes; error rate unchanged at 0.02 %. I hold here until you say *go*. Open "
        "item: node 5 still answers with the old certificate chain, harmless until the 14th.",
    ),
    guide=_REVIEW,
    choice=OpenChoice(
        "Two of six nodes are updated and healthy. How shall I go on?",
        "Rollout",
        (
            ("Go on in pairs", "25 minutes, watched"),
            ("Hold until tonight", "Nothing changes before 20:00"),
            ("Roll back", "Six minutes, back on 4.2.0"),
        ),
        "**{choice}**: understood and noted with the time. I report after each step, and at once if the error rate "
        "leaves 0.05 %.",
    ),
)
_CERTIFICATE = Topic(
    ("certificate", "certificates", "tls", "ssl", "dns", "domain", "expiry", "expires"),
    (
        "Next to expire: `intranet` in 12 days (renews by itself on day 10), `legacy-ftp` in 19 days (**by hand**, "
        "the machine is too old for anything else). I can prepare the request; the key stays where it "
        "is.",
        "DNS is consistent on all four resolvers, lifetime 300 s. Before a move I lower it to 60 the "
        "day before, and raise it again after. That is done in one change, and I would like a second pair of eyes on "
        "it.",
    ),
    guide=_REVIEW,
)
_AUDIT = Topic(
    ("audit", "log", "logs", "incident", "security", "compliance", "report", "policy"),
    (
        "Since midnight: 1,204 sign-ins, 31 failures, all of them typos but one. That one tried nine user names from "
        "one address in four seconds; it was blocked by rule and never got a password prompt. Nothing to do, worth a "
        "line in the weekly report.",
        "For {subject} the auditors want three things: who may, who did, and who looked. We have the first two as "
        "exports; the third I can assemble from the access log in about an hour. Retention is 400 days, so last "
        "year's spring is just about in reach.",
    ),
    guide=_REVIEW,
)
_OTHERWISE = Topic(
    (),
    (
        "Looked into {subject}. State: healthy. Last change: nine days ago, by a person, with a ticket. Nothing "
        "depends on it that I could not name. If you want it changed, I would do it after six and keep the old value "
        "for a week.",
        "Before I touch {subject}: what shall be true afterwards, and how would we notice that it is not? With those "
        "two sentences I can give you a plan with a way back at each step.",
        "{subject}: two owners are on record and one of them left in June. I suggest you take over the second place "
        "now; the change itself is a minute, and waits for your yes.",
    ),
    guide=_REVIEW,
    note=NoteFile(
        "change.md",
        "# Change: {title}\n\n- Why: asked for by the caller\n- Window: after 18:00\n- Check: health page green "
        "for ten minutes\n- Way back: previous value, kept for seven days\n",
        "A change without a record did not happen, so here is the record first.",
        "The change record for {subject} is written. Nothing has been changed yet.",
    ),
)


ADMIN = Role(
    "admin",
    ("admin", "administrator", "operations", "infrastructure"),
    (_ACCESS, _BACKUP, _CAPACITY, _RELEASE, _CERTIFICATE, _AUDIT),
    _OTHERWISE,
)
