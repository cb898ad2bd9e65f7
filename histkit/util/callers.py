"""Warnings at the line of the user's own code."""

import sys
import warnings
from pathlib import Path

from histkit.util.background import take_warning

_PACKAGE = str(Path(__file__).parent.parent)


def warn_caller(message: str) -> None:
    """Warn at the line outside this package that called it; a background job has its watch take the warning."""
    if take_warning(message):
        return
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)
