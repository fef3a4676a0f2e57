"""Modal screens, each typed by its answer."""
