"""What the commands print: safe on any terminal, in any encoding, and into a pipe that may close."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import click

from histkit.util.files import is_write_fault, write_reason
from histkit.util.folding import fold, output_width
from histkit.util.text import encodable_text, terminal_lines, terminal_text

_SCREEN = 20  # columns; a narrower width is not one


def print_line(text: str) -> None:
    """Print a line on standard output."""
    _print(text, err=False)


def print_paragraph(text: str) -> None:
    """Print a sentence on standard output, folded to the width that tables have."""
    width = output_width()
    for line in fold(terminal_text(text), width, whole_words=True) if width and width >= _SCREEN else [text]:
        print_line(line)


def print_message(text: object) -> None:
    """Print a line of the program on standard error."""
    _print(f"histkit: {text}", err=True)


def print_note(text: str) -> None:
    """Print a line on standard error."""
    _print(text, err=True)


def print_data(text: str, *, err: bool = False) -> None:
    """Print lines of CSV or JSON on standard output; `err`: on standard error."""
    stream = sys.stderr if err else sys.stdout
    click.echo(encodable_text(terminal_lines(text), _encoding(stream)), nl=False, err=err)


def _print(text: str, *, err: bool) -> None:
    stream = sys.stderr if err else sys.stdout
    margin = text[: len(text) - len(text.lstrip(" "))]
    line = margin + encodable_text(terminal_text(text), _encoding(stream))
    width = output_width(stream) if stream.isatty() else None
    click.echo("\n".join(fold(line, width, whole_words=True)) if width and width >= _SCREEN else line, err=err)


def _encoding(stream: Any) -> str:
    return getattr(stream, "encoding", None) or "utf-8"


@contextmanager
def standard_streams() -> Iterator[None]:
    """Have standard output and error replace what their encoding can't write, and end quietly when nobody reads on.

    Raises
    ------
    SystemExit
        Standard output can't be written; a line on standard error states why, but not of a pipe that was closed.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed, as by ``>&-``
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123 - until the end
        with suppress(AttributeError):  # a stream of a notebook
            getattr(sys, name).reconfigure(errors="replace")
    try:
        yield
    except OSError as error:
        give_up(error)
    finally:
        try:
            sys.stdout.flush()
        except OSError as error:
            give_up(error)


def give_up(error: OSError) -> NoReturn:
    """End after an error of writing; quietly after that of a pipe that was closed."""
    with suppress(AttributeError, OSError, ValueError):  # else the interpreter fails once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if not isinstance(error, BrokenPipeError):
        with suppress(OSError):
            where = f"{error.filename}:"
            if error.filename is None or is_write_fault(error):
                where = f"{error.filename or 'the output'} can't be written:"
            print_message(f"{where} {write_reason(error)}.")
    raise SystemExit(1)


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print warnings as messages of the program, without file and line."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        print_message(message)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
