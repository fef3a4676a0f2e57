"""One agent process, from its start to a verified end. Knows no session, no queue and no pool."""
