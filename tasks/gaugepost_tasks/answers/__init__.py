"""How an answer is parsed and redacted."""
