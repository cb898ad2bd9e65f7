"""Counts what is lost when everything goes wrong: fault matrix, kills, bit flips. ``tools/faults.py`` runs it all."""
