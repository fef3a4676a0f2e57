"""Files and environment variables, read and checked: settings, templates, and what they allow their clients."""
