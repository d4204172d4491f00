"""Parse and redact answers."""
