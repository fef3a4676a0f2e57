"""The door: the same sessions over HTTP, for programs, browsers and other terminals. It knows `api` alone."""
