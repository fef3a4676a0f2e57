"""Files and folders: private to their owner, read within limits, removed without following links."""
