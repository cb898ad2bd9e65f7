"""The group of commands: its errors are one line each, in the words of the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from histkit.cli.options import PERIODS
from histkit.cli.output import give_up, print_message, standard_streams, warnings_as_lines
from histkit.errors import HistkitError
from histkit.frame.names import MissingColumnError, UnmatchedNameError, UnmatchedNameWarning
from histkit.util.text import terminal_text

SOME_FAILED = 5
NO_SUCH_NAME = 3
INTERRUPTED = 130
_NOTHING_HALF = "Interrupted. Files are complete or as they were; run it again."
_INTERRUPTED = {
    "sync": "Interrupted. What was read is kept; run it again to resume.",
    "pull": "Interrupted. Finished clips are kept; run it again to resume.",
    "zip": "Interrupted. The zip was not written; run it again.",
    "delete": "Interrupted. Deleted rows are in the journal; run it again for the rest.",
}

# Parameters of the package that a command takes under another name.
_NAMES = {
    "accounts": "--account",
    "api_key": "ELEVENLABS_API_KEY",
    "base_url": "ELEVENLABS_BASE_URL",
    "billing": "--reset-day",
    "bulk": "--one-by-one",
    "freq": "PERIOD",
    "keep": "--keepers",
}


def _periods(match: re.Match[str]) -> str:
    """Return a message on ``freq=`` with the names that PERIOD has for the lengths of periods."""
    names = {frequency: name for name, frequency in PERIODS.items()}
    words = [names.get(None if word == "None" else word.strip("'"), word) for word in match["words"].split(", ")]
    return f"freq={names.get(match[1], match[1])!r} {match['problem']}; use one of {', '.join(map(repr, words))}"


# What the package tells a Python user to do, as the command line does it.
_PHRASES = (
    (re.compile(r"\bregex=False\b"), "--literal"),
    (
        re.compile(r"(?:histkit\.)?\bsync\((\w+=True(?:, \w+=True)*)\)"),
        lambda match: f"histkit sync --{match[1].replace('=True', '').replace(', ', ' --')}",
    ),
    (
        re.compile(r"verify\((?P<quote>['\"])(?P<folder>.*?)(?P=quote), prove=True\)"),
        r"histkit verify \g<folder> --prove",
    ),
    (
        re.compile(r"HistoryClient\((total_timeout|max_page_bytes|max_clip_bytes)=\.\.\.\)"),
        lambda match: f"the environment variable HISTKIT_{match[1].upper()}",
    ),
    (re.compile(r"confirm to delete"), "--confirm deletes them"),
    (re.compile(r"\(overwrite=True\)"), "(histkit pull --overwrite)"),
    (re.compile(r"overwrite=True downloads"), "histkit pull --overwrite downloads"),
    (re.compile(r" or pass HistoryClient\(api_key=\.\.\.\)"), ""),
    (re.compile(r"ELEVENLABS_API_KEY or api_key="), "ELEVENLABS_API_KEY"),
    (re.compile(r"histkit\.sync\(.*\), or histkit sync"), "histkit sync"),
    (re.compile(r"^The frame (?=has |lacks )"), "The history "),
    (re.compile(r"(?:take those of one, )?df\[df\['account'\] == '\.\.\.'\]"), "use --account NAME"),
    (re.compile(r"(?:take those of one, )?df\[df\['account'\] == (?=['\"])"), "use --account "),
    (re.compile(r"(--account (?:'[^']*'|\"[^\"]*\"))\], with its client"), r"\1, with its key"),
    (re.compile(r", or pass billing=\{account: \.\.\.\}"), ""),
    (re.compile(r"run df\.speech\.label\(rules\) first"), "add --rules"),
    (re.compile(r"or choose the columns that agree by columns="), "or leave only the columns that agree"),
    (re.compile(r"\bmodel=(?=(?:'[^']*'|\"[^\"]*\") is not known)"), "on_model="),
    (
        re.compile(r"\bfreq=(?:None\b|'(\w+)') (?P<problem>.*?); use one of (?P<words>[^.]*)"),
        _periods,
    ),
    (re.compile(r"; or pass a list of strings"), "; use a text file"),
    (
        re.compile(r"use a text file, a list of strings, or a frame with the column 'text'"),
        "use a file with a text a line",
    ),
)
_PARAMETER = re.compile(  # year= and month= are folders
    r"""
    (?P<quoted> (?<!\w) (?: '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" ) (?!\w) )  # quoted user input is left unchanged
    | (?<![\w.?&/-]) (?!(?:year|month)=) (?P<name>[a-z_]+)= (?P<value> True\b | '(?:[^'\\]|\\.)*' | (?=[^\s.,:;)]) )?
    """,
    re.VERBOSE,
)


class _WrongUsage(click.ClickException):
    """A usage error, shown as one line like every other error."""

    exit_code = click.UsageError.exit_code

    def __init__(self, error: click.UsageError) -> None:
        if isinstance(error, click.BadParameter) and isinstance(error.param, click.Argument) and not error.param_hint:
            error.param_hint = f"'{(error.param.name or '').upper()}'"  # else all choices, which the message has, too
        message = terminal_text(" ".join(error.format_message().split()))
        end = "" if message.endswith((".", ")", "?")) else "."
        place = f" See {error.ctx.command_path} --help." if error.ctx is not None else ""
        super().__init__(message + end + place)

    def show(self, file: Any = None) -> None:
        """Print the line on standard error."""
        print_message(self.message)


@contextmanager
def _usage_in_one_line() -> Iterator[None]:
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        raise _WrongUsage(error) from None


class Commands(click.Group):
    """A group of commands that ends an error of histkit with one line on stderr and exit code 1.

    The exit code of a name that matches nothing is 3, that of a wrong command line 2.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line."""
        with standard_streams():
            return super().main(*args, **kwargs)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the command line up to the name of the command."""
        with _usage_in_one_line():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            with warnings_as_lines(), _usage_in_one_line():
                return super().invoke(ctx)
        except (UnmatchedNameWarning, UnmatchedNameError, MissingColumnError) as problem:
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            print_message(in_option_names(str(problem), command))
            ctx.exit(NO_SUCH_NAME)
        except HistkitError as error:
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            print_message(in_option_names(str(error), command))
            ctx.exit(1)
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            give_up(error)
        except KeyboardInterrupt:
            print_message(_INTERRUPTED.get(ctx.invoked_subcommand or "", _NOTHING_HALF))
            ctx.exit(INTERRUPTED)
        except click.ClickException as error:
            error.message = terminal_text(error.message)  # type: ignore[misc]
            raise


def in_option_names(message: str, command: click.Command | None) -> str:
    """Replace the Python parameters in a message by the options and arguments of a command.

    Parameters
    ----------
    message : str
        A message of the package, which names a parameter as in ``near=2`` or ``near=``.
    command : click.Command, optional
        The command that was run.

    Examples
    --------
    >>> option = click.Option(["--near"])
    >>> in_option_names("near='x' needs freq=.", click.Command("takes", params=[option]))
    "--near 'x' needs PERIOD."
    """
    options, flags = dict(_NAMES), set()
    for parameter in command.params if command is not None else ():
        name = max(parameter.opts, key=len)
        if isinstance(parameter, click.Argument):
            options[name] = name.upper()
        else:
            options[name.removeprefix("--").replace("-", "_")] = name
        if getattr(parameter, "is_flag", False):
            flags.add(name)

    def replacement(match: re.Match[str]) -> str:
        if match["quoted"] is not None:
            return match["quoted"]
        name, value = match["name"], match["value"]
        option = options.get(name, name.replace("_", " "))
        return option if value is None or (value == "True" and option in flags) else f"{option} {value}"

    for phrase, words in _PHRASES:
        message = phrase.sub(words, message)
    return _PARAMETER.sub(replacement, message)
