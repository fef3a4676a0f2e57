"""Text on its way to a person: cleaned, made visible, put into words."""
