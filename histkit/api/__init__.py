"""The HTTP client: credentials, retries, errors, models, pagination."""
