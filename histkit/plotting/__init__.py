"""Charts with matplotlib."""
