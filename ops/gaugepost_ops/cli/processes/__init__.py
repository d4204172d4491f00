"""Commands that run processes: workers, beat, Flower, exporter, demo, simulator."""
