"""What operators run: the command line, Flower, the exporter, the check, the demo, the embedded Redis."""
