"""What the screen holds of the engine: a copy of its rows, kept current by the feed."""
