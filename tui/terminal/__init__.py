"""The terminal itself: keys and pastes in, bytes out, never waited for."""
