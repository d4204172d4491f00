"""Output of commands: layout for any terminal width, progress bars, escaped control characters."""
