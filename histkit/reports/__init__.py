"""Usage reports and client statements."""
