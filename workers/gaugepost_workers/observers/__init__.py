"""Receive job events: Flower, metrics, traces, logs."""
