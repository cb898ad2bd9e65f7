"""Deleting history items: plan, journal, requests."""
