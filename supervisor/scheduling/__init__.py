"""Decisions: who runs next, who makes room, how many clients. Pure: nothing here awaits or changes anything."""
