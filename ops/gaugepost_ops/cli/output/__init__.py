"""How commands write to a terminal: layout of text, progress, escaped control characters."""
