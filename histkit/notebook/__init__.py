"""Widgets and players for notebooks."""
