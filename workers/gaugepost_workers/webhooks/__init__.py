"""Send webhooks: the events of the outboxes, signed, each to its endpoint."""
