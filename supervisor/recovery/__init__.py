"""After a restart: what waited, what ran, and what earlier processes have left behind."""
