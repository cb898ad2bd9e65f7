"""Takes of one line: grouping, similarity, keepers."""
