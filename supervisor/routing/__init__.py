"""Which agent a prompt is for that names none: an index of what templates say of themselves, and what it finds."""
