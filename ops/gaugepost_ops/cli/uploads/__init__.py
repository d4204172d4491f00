"""Commands about files and their upload lanes."""
