"""An engine in another process, reached by its door: every method of `Engine` over HTTP."""
