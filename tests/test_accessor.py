"""The accessors say all that their functions take: to Tab, to Shift+Tab, to editors and to type checkers."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
import typing
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import histkit as hk
import histkit.dask
from histkit.accessor import SpeechAccessor
from tools.accessor import FILE, accessor_source, documented, sections

METHODS = sorted(name for name in vars(SpeechAccessor) if not name.startswith("_"))
FUNCTIONS = sorted(name for name in hk.__all__ if inspect.isfunction(getattr(hk, name)))
NAMES = {"filter": "filter_items", "usage": "usage_table"}
DASK_METHODS = sorted(name for name in vars(hk.dask.DaskSpeechAccessor) if not name.startswith("_"))


def function_of(method: str) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(hk, NAMES.get(method, method))
    return function


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """All but the first, which is the frame or self: names, kinds, defaults and annotations as they are written."""
    return list(inspect.signature(function).parameters.values())[1:]


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations as types, resolved as a type checker does: with what the module imports for it alone."""
    module = importlib.import_module(function.__module__)
    tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
    names: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            exec(compile(ast.Module(node.body, []), module.__name__, "exec"), names)
    return typing.get_type_hints(function, vars(module), names)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "plot_quota"])
def test_a_method_takes_what_its_function_takes(method: str) -> None:
    function, bound = function_of(method), getattr(SpeechAccessor, method)
    assert parameters_of(bound) == parameters_of(function)
    assert inspect.signature(bound).return_annotation == inspect.signature(function).return_annotation


def test_plot_quota_takes_what_forecast_takes_and_where_to_draw() -> None:
    assert parameters_of(SpeechAccessor.plot_quota) == parameters_of(hk.forecast) + parameters_of(hk.plot_quota)


@pytest.mark.parametrize("method", DASK_METHODS)
def test_a_method_of_a_dask_frame_takes_what_the_function_takes(method: str) -> None:
    assert parameters_of(getattr(hk.dask.DaskSpeechAccessor, method)) == parameters_of(function_of(method))


def test_every_function_of_a_history_is_a_method() -> None:
    of_frames = {name for name in FUNCTIONS if next(iter(parameter_names(name)), None) in ("frame", "items")}
    assert {NAMES.get(method, method) for method in METHODS} == of_frames | {"plot_quota"}


def parameter_names(function: str) -> list[str]:
    return list(inspect.signature(getattr(hk, function)).parameters)


def test_no_method_hides_what_it_takes() -> None:
    for accessor, methods in ((SpeechAccessor, METHODS), (hk.dask.DaskSpeechAccessor, DASK_METHODS)):
        for method in methods:
            kinds = {parameter.kind for parameter in parameters_of(getattr(accessor, method))}
            assert kinds <= {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}, method


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_docstring_describes_each_parameter_once(function: str) -> None:
    words = [name for names, _, _ in documented(getattr(hk, function)) for name in names]
    assert sorted(words) == sorted(parameter_names(function))


@pytest.mark.parametrize("method", METHODS)
def test_a_method_has_the_first_paragraph_and_the_parameters_of_its_function(method: str) -> None:
    function, bound = function_of(method), getattr(SpeechAccessor, method)
    first = [sections(inspect.getdoc(each) or "")["Summary"].split("\n\n")[0].strip() for each in (function, bound)]
    assert first[0] == first[1]
    words = [name for names, _, _ in documented(bound) for name in names]
    assert sorted(words) == sorted(parameter.name for parameter in parameters_of(bound))
    for _, kind, body in documented(bound):
        assert body, f"{method}: a parameter ({kind}) without a description"


def test_the_accessor_is_what_its_tool_writes() -> None:
    assert FILE.read_text("utf-8") == accessor_source(), "run: python tools/accessor.py"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_type_hints_of_functions_resolve(function: str) -> None:
    hints = hints_of(getattr(hk, function))
    assert hints.keys() == {*parameter_names(function), "return"}


@pytest.mark.parametrize("method", METHODS)
def test_type_hints_of_methods_are_those_of_the_function(method: str) -> None:
    hints = hints_of(getattr(SpeechAccessor, method))
    for function in [hk.forecast, hk.plot_quota] if method == "plot_quota" else [function_of(method)]:
        names = [parameter.name for parameter in parameters_of(function)]
        theirs = hints_of(function)
        assert {name: hints[name] for name in names} == {name: theirs[name] for name in names}


FRAME = "pandas.DataFrame({'source': ['TTS', 'STS']}).speech.filter(source='TTS')"


@pytest.mark.parametrize(
    "code",
    [
        "import histkit, pandas",
        "import pandas, histkit",
        "import histkit.accessor, pandas",
        "import histkit, importlib; importlib.reload(histkit); import pandas",
        "import histkit, importlib, histkit.accessor as module; importlib.reload(module); import pandas",
        "import histkit, pandas, importlib; importlib.reload(pandas); importlib.reload(histkit)",
        "import histkit, importlib; pandas = importlib.import_module('pandas')",
        "import histkit, pandas.api.types, pandas",
        "import histkit, dask.dataframe, pandas",
        "import histkit, lazy_loader; pandas = lazy_loader.load('pandas')",
        "import histkit, threading; threads = [threading.Thread(target=__import__, args=['pandas']) for _ in '1234']; "
        "[*map(threading.Thread.start, threads)]; import pandas",
        "import threading; thread = threading.Thread(target=__import__, args=['pandas']); thread.start(); "
        "import histkit, pandas",
    ],
)
def test_frames_have_the_accessor_in_whatever_order_the_packages_are_imported(code: str) -> None:
    program = f"import warnings; warnings.simplefilter('error'); {code}\nprint(len({FRAME}))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("1\n", "")


def test_frames_have_the_accessor_after_an_import_of_pandas_that_failed() -> None:
    program = (
        "import sys, histkit; sys.modules['pandas.core'] = None\n"
        "for _ in range(2):\n"
        "    try:\n        import pandas\n    except ImportError as error:\n        print(type(error).__name__)\n"
        "for name in [name for name in sys.modules if name.split('.')[0] == 'pandas']:\n    del sys.modules[name]\n"
        f"def use():\n    import pandas\n    return len({FRAME})\n"
        "print(use())"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.stdout.split(), result.stderr) == (["ModuleNotFoundError", "ModuleNotFoundError", "1"], "")


def test_pandas_has_its_own_loader_and_no_finder_stays() -> None:
    program = (
        "import sys; before = sys.meta_path[:]; import histkit, pandas, inspect\n"
        "assert inspect.getsource(pandas) and pandas.__loader__ is pandas.__spec__.loader\n"
        "print(sys.meta_path == before, type(pandas.__loader__).__name__)"
    )
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["True", "SourceFileLoader"]


@pytest.mark.parametrize("module", ["histkit.accessor", "histkit.dask"])
def test_a_reload_is_silent_and_registers_the_accessor_anew(module: str) -> None:
    code = (
        f"import warnings; warnings.simplefilter('error'); import importlib, {module}; "
        f"module = importlib.reload({module}); importlib.reload(module)\n"
        "import pandas as pd\n"
        "kind = {'histkit.accessor': pd.DataFrame}.get(module.__name__) or module.dd.DataFrame\n"
        "print(kind.speech is getattr(module, 'SpeechAccessor', None) or kind.speech is module.DaskSpeechAccessor)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.stdout.strip(), result.stderr) == ("True", "")


def test_an_accessor_of_another_package_is_not_replaced_without_a_warning() -> None:
    class Other:
        def __init__(self, frame: pd.DataFrame) -> None: ...

    class Frame(pd.DataFrame): ...

    from histkit.util.accessors import forget_accessor

    Frame.speech = Other
    forget_accessor(Frame, "speech", "histkit.accessor")
    assert Frame.speech is Other
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forget_accessor(Frame, "speech", Other.__module__)
    assert "speech" not in vars(Frame)
