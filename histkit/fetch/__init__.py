"""Reading the history through the API in time windows."""
