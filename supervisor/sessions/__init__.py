"""What is counted and queued: sessions, turns, places, open questions. State, no decisions."""
