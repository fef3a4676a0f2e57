"""The shipped fake: agents without processes, for tests and for loads that real processes cannot reach."""
