"""Everything else that a screen is made of: header, message box, cards, event log."""
