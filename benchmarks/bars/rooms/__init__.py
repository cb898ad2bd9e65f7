"""The bars of each part of histkit; every module here has a tuple ``BARS``."""
