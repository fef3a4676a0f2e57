"""Decisions: who runs next, who makes room, how many clients. Nothing here awaits, and no question changes anything."""
