"""The HTTP gateway (`gaugepost serve`, extra `web`): services in any language enqueue jobs and read their results."""
