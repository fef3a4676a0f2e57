"""One long Markdown answer, with everything a transcript must be able to show."""

from __future__ import annotations

ESSAY = """\
# Moving the team wiki without losing anything

Short answer: **copy first, freeze second, switch last.** Below is the order I would follow, and what can go wrong.

## What we have today

1. One wiki with 412 pages and *about 90* that nobody opened this year.
2. Attachments on a share that three people can write to.
3. Links into both from tickets, mails and the onboarding guide.

| part            | size   | owner  | moves      |
|-----------------|-------:|--------|------------|
| pages           | 38 MB  | Ana    | Monday     |
| attachments     | 6.1 GB | Boris  | Tuesday    |
| search index    | —      | nobody | rebuilt    |
| redirects       | 2 kB   | Chiara | Wednesday  |

## The steps

- **Copy** everything to the new place while the old one stays open.
  - Compare the counts, not the sizes.
  - Read ten pages at random, with pictures.
- **Freeze** the old wiki for one hour; nobody should notice after six in the evening.
- **Switch** the name, keep the old address as a redirect for a year.

A small script tells what differs:

```python
from pathlib import Path

def missing(old: Path, new: Path) -> list[Path]:
    \"\"\"Pages that the new wiki does not have.\"\"\"
    have = {page.relative_to(new) for page in new.rglob("*.md")}
    return sorted(page for page in old.rglob("*.md") if page.relative_to(old) not in have)
```

> If the list is not empty, nothing is switched. It is much cheaper to wait a day than to look for a page
> that only one person ever knew about.

### What can go wrong

Links with a `#section` break when a heading was renamed: `/wiki/travel#per-diem` became `/wiki/travel#daily-allowance`.
The redirect table has a column for those. And please do not move the *archive* on the same day; it is large, it is
slow, and nobody waits for it.

---

Tell me which evening suits you and I will write the announcement.
"""
