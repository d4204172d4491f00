"""One module for each kind of job: its request and what the endpoint answers."""
