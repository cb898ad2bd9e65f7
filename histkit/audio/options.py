"""Values of the options of a download that its help states, too."""

DEFAULT_NAME = "{date:%Y-%m}/{voice}/{text:.40}-{id}"
SAMPLE_RATES = (1000, 768_000)  # the smallest and largest that a sound can have
