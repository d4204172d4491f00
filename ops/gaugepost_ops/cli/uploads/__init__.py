"""Commands for files and upload lanes."""
