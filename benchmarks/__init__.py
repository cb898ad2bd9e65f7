"""Comparisons with what a user would use otherwise; run with ``make bench``."""
