"""Values of the options of a statement that its help states, too."""

FORMATS = ("md", "html", "xlsx", "csv", "json")  # of the files of `histkit.statements`
REGISTER = "_statements.jsonl"  # in a history's folder; tools skip names that begin with an underscore
