"""Helpers that know nothing of the service: files, storage, threads, text, file names, arrays, progress."""
