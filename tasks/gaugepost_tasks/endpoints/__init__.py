"""One module for each kind of job: it builds the request and reads the answer."""
