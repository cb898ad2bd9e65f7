"""Write the methods of ``histkit/accessor.py`` from the functions they call: signature, first paragraph, parameters.

Run it after a change of a public function's signature or docstring: ``python tools/accessor.py``. A test compares the
file with what this program writes.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import histkit as hk

FILE = Path(hk.__file__).parent / "accessor.py"
NAMES = {"filter_items": "filter", "usage_table": "usage"}  # function to method, where they differ
ORDER = (
    *("filter_items", "label", "attribute", "usage_table", "speakers", "dialogue_lines"),
    *("plot_usage", "plot_share", "plot_hours", "takes", "keepers", "waste", "plot_takes"),
    *("cost_table", "add_cost", "reprice", "ledger", "forecast", "reconcile"),
    *("report", "statement", "statements", "explore", "pick_takes", "play", "download_audio", "download_zip"),
    *("delete", "to_parquet", "to_csv", "to_xlsx"),
)
HEADER = '''\
"""``df.speech``: the functions of the package as methods of a frame; written by ``tools/accessor.py``."""

from __future__ import annotations

{imports}

from histkit.util.accessors import register_accessor

if TYPE_CHECKING:
    import pandas as pd
{typing_imports}


class SpeechAccessor:
    """The speech history methods of a DataFrame.

    A method works on any frame with the columns it needs, and raises `histkit.SchemaError` for a missing one.

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.sample_history(300)
    >>> df.speech.usage(by="model").columns.tolist()
    ['model', 'items', 'characters', 'credits']
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
'''
FOOTER = """

register_accessor("speech", SpeechAccessor)
"""


def sections(doc: str) -> dict[str, str]:
    """Split a numpydoc docstring into its sections; the text before the first one is called "Summary"."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", doc, flags=re.MULTILINE)
    return {"Summary": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def documented(function: Callable[..., Any]) -> Iterator[tuple[list[str], str, str]]:
    """Yield the entries of a function's Parameters section: names, type (may be empty) and description.

    An entry that only refers to another function is replaced by that function's entries.
    """
    section = sections(inspect.getdoc(function) or "").get("Parameters", "")
    for entry in re.split(r"\n(?=\S)", section.strip("\n")) if section else ():
        header, _, body = entry.partition("\n")
        names, _, kind = header.partition(" : ")
        words = names.split(", ")
        body = textwrap.dedent(body).strip()
        other = re.fullmatch(r"As in `(?:histkit\.)?(\w+)`\.", body)
        referenced = getattr(hk, other[1], None) if other else None
        if referenced is None:
            yield words, kind, body
            continue
        for there, there_kind, there_body in documented(referenced):
            shared = [name for name in there if name in words]
            if shared:
                yield shared, there_kind, there_body


def parameters_text(*functions: Callable[..., Any]) -> str:
    """Return the entries of some functions' parameters but their frames', in the order of the signature."""
    lines = []
    for function in functions:
        frame, *others = inspect.signature(function).parameters
        entries = sorted(documented(function), key=lambda entry: min(map([frame, *others].index, entry[0])))
        for names, kind, body in entries:
            names = [name for name in names if name != frame]
            if names:
                lines += [", ".join(names) + (f" : {kind}" if kind else ""), textwrap.indent(fill(body), "    ")]
    return "\n".join(lines)


def fill(text: str) -> str:
    """Wrap paragraphs to the width that is left in a method's docstring."""
    return "\n\n".join(
        textwrap.fill(paragraph, 120 - 12, break_long_words=False, break_on_hyphens=False)
        for paragraph in text.split("\n\n")
    )


def docstring(function: Callable[..., Any], *functions: Callable[..., Any]) -> str:
    """Return a method's docstring: the function's first paragraph, a reference to it, and the parameters."""
    summary = sections(inspect.getdoc(function) or "")["Summary"].split("\n\n")[0].strip()
    text = f"{summary}\n\nSee `histkit.{function.__name__}` for details.\n"
    described = parameters_text(*(functions or (function,)))
    return text + (f"\nParameters\n----------\n{described}\n" if described else "")


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return a function's parameters but the frame."""
    return list(inspect.signature(function).parameters.values())[1:]


def method(name: str, function: Callable[..., Any]) -> str:
    """Return the source of the method that calls a function."""
    given = ", ".join(
        parameter.name if parameter.kind is parameter.POSITIONAL_OR_KEYWORD else f"{parameter.name}={parameter.name}"
        for parameter in parameters_of(function)
    )
    call = f"return {function.__name__}(self._frame{given and ', '}{given})"
    head = signature(parameters_of(function), inspect.signature(function).return_annotation)
    return definition(name, head, docstring(function), [function], call)


def quota_method() -> str:
    """Return the source of ``plot_quota``, which draws the forecast of the frame."""
    ax = parameters_of(hk.plot_quota)
    parameters = parameters_of(hk.forecast)
    given = ", ".join(f"{parameter.name}={parameter.name}" for parameter in parameters)
    call = f"return plot_quota(forecast(self._frame, {given}), ax=ax)"
    head = signature([*parameters, *ax], inspect.signature(hk.plot_quota).return_annotation)
    text = docstring(hk.plot_quota, hk.forecast, hk.plot_quota)
    return definition("plot_quota", head, text, [hk.forecast, hk.plot_quota], call)


def signature(parameters: list[inspect.Parameter], returns: str) -> str:
    """Return the signature of a method as source."""
    me = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    words = []
    for parameter in (me, *parameters):
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in words:
            words.append("*")
        hint = "" if parameter is me else f": {parameter.annotation}"
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        words.append(f"{parameter.name}{hint}{default}")
    return f"({', '.join(words)}) -> {returns}"


def definition(name: str, head: str, doc: str, functions: list[Callable[..., Any]], call: str) -> str:
    """Return the source of one method."""
    imports = [f"from {function.__module__} import {function.__name__}" for function in functions]
    text = doc.rstrip("\n")
    quoted = f'"""{text}\n"""' if "\n" in text else f'"""{text}"""'
    prefix = "r" if "\\" in text else ""
    body = [prefix + quoted, *imports, "", call]
    return f"def {name}{head}:\n" + textwrap.indent("\n".join(body), "    ")


def imports_for(functions: list[Callable[..., Any]]) -> tuple[list[str], list[str]]:
    """Return the imports that the annotations need: those of the standard library, and those for type checkers only."""
    lines = {"TYPE_CHECKING": "from typing import TYPE_CHECKING"}
    for function in functions:
        module = importlib.import_module(function.__module__)
        tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
        imported: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                start = f"from {node.module} import" if isinstance(node, ast.ImportFrom) else "import"
                imported |= {
                    alias.asname or alias.name: f"{start} {alias.name}"
                    for alias in node.names
                    if alias.name != "pandas"
                }
        for name in names_in_annotations(function) & (imported.keys() | vars(module).keys()) - {"pd"}:
            lines[name] = imported.get(name, f"from {module.__name__} import {name}")
    at_run_time = [line for line in lines.values() if line.split()[1].split(".")[0] in sys.stdlib_module_names]
    return at_run_time, [line for line in lines.values() if line not in at_run_time]


def names_in_annotations(function: Callable[..., Any]) -> set[str]:
    """Return the names that the annotations of a method are made of."""
    described = inspect.signature(function)
    annotations = [parameter.annotation for parameter in parameters_of(function)] + [described.return_annotation]
    return {
        node.id for text in annotations for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Name)
    }


def accessor_source() -> str:
    """Return the text of ``histkit/accessor.py``, formatted."""
    functions = [getattr(hk, name) for name in ORDER]
    methods = [method(NAMES.get(name, name), function) for name, function in zip(ORDER, functions, strict=True)]
    methods.insert(ORDER.index("forecast") + 1, quota_method())
    at_run_time, typing_only = imports_for([*functions, hk.plot_quota])
    text = HEADER.format(imports="\n".join(at_run_time), typing_imports=textwrap.indent("\n".join(typing_only), "    "))
    text += "".join(f"\n{textwrap.indent(source, '    ')}\n" for source in methods) + FOOTER
    for command in (["check", "--quiet", "--select", "I", "--fix", "-"], ["format", "--quiet", "-"]):
        words = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(FILE)]
        text = subprocess.run(words, input=text, capture_output=True, text=True, check=True).stdout
    return text


if __name__ == "__main__":
    FILE.write_text(accessor_source(), "utf-8")
