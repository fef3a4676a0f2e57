"""Every sentence and number that a screen shows. Pure functions, no widgets."""
