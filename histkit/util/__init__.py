"""Helpers independent of the service: files, storage, threads, text, file names, arrays, progress."""
