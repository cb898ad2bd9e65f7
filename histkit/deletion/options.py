"""Values of the options of a deletion that its help states, too."""

DEFAULT_JOURNAL = "data/deleted.jsonl"
