"""Messages of CustomerGauge that several modules use. ``{}`` is the inbound mapping.

Clients distinguish causes by these texts, so they are copied letter for letter. UNKNOWN_CASE is a guess: no source
documents the message for a case that does not exist.
"""

NO_CAMPAIGN = "Could not match any campaign filter."
DUPLICATE = "Personal link record could not be created because it duplicates with another record."
DUPLICATE_RULE = "Record could not be imported because it duplicates with another record."
UNKNOWN_MAPPING = "The inbound mapping [{}] was not found."
WRONG_TYPE = "The inbound mapping [{}] data type is invalid, only 'Multi-Object' or 'Survey Data' are allowed."
UNKNOWN_CASE = "The survey response was not found."
ALREADY_PROCESSED = "This upload has already been processed"
INVALID_KEY = "Invalid API key"
UNAUTHENTICATED = "Unauthenticated."
EMPTY_FIELD = "Field {} is required but seems to be empty."
