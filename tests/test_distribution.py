"""The wheel and the source archive are complete, and work where the source tree is not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import histkit as hk

ROOT = Path(__file__).parents[1]
PACKAGE = {
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "histkit").rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
}


def run(command: list[str], folder: Path) -> str:
    """Return what a command prints; it knows nothing of this tree but by its arguments."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def build(tree: Path, target: Path, *arguments: str) -> None:
    run([sys.executable, "-m", "hatchling", "build", "-d", str(target), *arguments], tree)


def distributions(required: Iterable[str]) -> dict[str, Distribution]:
    """Return the installed distributions that meet the requirements, and those that these require, by name."""
    known: dict[str, Distribution] = {}
    waiting = [Requirement(text) for text in required]
    while waiting:
        requirement = waiting.pop()
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if applies and requirement.name not in known:
            known[requirement.name] = distribution(requirement.name)
            waiting += [Requirement(text) for text in known[requirement.name].requires or []]
    return known


def pip(environment: Path, *arguments: str) -> None:
    python = environment / "bin" / "python"
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    run([sys.executable, "-m", "pip", f"--python={python}", "install", *options, *arguments], environment)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build(ROOT, folder)
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Make an environment that holds what pyproject.toml requires, and nothing else that is installed here."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    required = settings["project"]["dependencies"] + settings["build-system"]["requires"]
    folder = tmp_path / "environment"
    venv.create(folder, symlinks=True, with_pip=False)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    for installed in distributions(required).values():
        for top in {file.parts[0] for file in installed.files or []} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(installed.locate_file(top))))
    return folder


def names_in_wheel(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as wheel:
        return set(wheel.namelist())


def members(archive: tarfile.TarFile) -> Iterator[str]:
    for member in archive:
        assert member.isfile()
        yield member.name.partition("/")[2]


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    names = names_in_wheel(next(built.glob("*.whl")))
    facts = {name for name in names if name.startswith(f"histkit-{hk.__version__}.dist-info/")}
    assert names - facts == PACKAGE
    assert {"histkit/py.typed", "histkit/__init__.pyi"} <= names
    assert {".jinja", ".bin"} <= {Path(name).suffix for name in names}
    assert {Path(name).name for name in facts} == {"METADATA", "WHEEL", "entry_points.txt", "LICENSE", "RECORD"}


def test_the_source_archive_makes_the_same_wheel(built: Path, tmp_path: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = set(members(archive))
        archive.extractall(tmp_path, filter="data")
    beside = {"CHANGELOG.md", "LICENSE", "README.md", "PKG-INFO", "pyproject.toml", ".gitignore"}
    assert names == PACKAGE | beside
    build(tmp_path / f"histkit-{hk.__version__}", tmp_path / "again", "-t", "wheel")
    wheels = [next(folder.glob("*.whl")) for folder in (built, tmp_path / "again")]
    assert wheels[0].name == wheels[1].name
    assert wheels[0].read_bytes() == wheels[1].read_bytes()


def test_the_installed_wheel_runs_the_demo_and_the_readme(built: Path, environment: Path, tmp_path: Path) -> None:
    pip(environment, str(next(built.glob("*.whl"))))
    python, folder = str(environment / "bin" / "python"), tmp_path / "elsewhere"
    folder.mkdir()
    assert "Usage by voice" in run([str(environment / "bin" / "histkit"), "demo", "--items", "300"], folder)
    assert run([python, "-m", "histkit.cli", "--version"], folder).strip().endswith(hk.__version__)
    where = "import histkit, importlib.metadata as m; print(histkit.__file__, m.version('histkit'))"
    file, version = run([python, "-c", where], folder).split()
    assert Path(file).is_relative_to(environment)
    assert version == hk.__version__
    block = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert block is not None
    assert all(f".speech.{name}(" in block[1] for name in ("usage", "to_csv", "plot_usage"))
    assert "credits" in run([python, "-c", block[1]], folder)
    assert {path.name for path in (folder / "data").iterdir()} >= {"history.csv", "usage.png", "demo"}


def test_a_clone_named_histkit_does_not_shadow_the_package(environment: Path, tmp_path: Path) -> None:
    clone = tmp_path / "histkit"
    shutil.copytree(ROOT / "histkit", clone / "histkit", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    pip(environment, "--editable", str(clone))
    code = "import histkit; print(histkit.__file__, len(histkit.sample_history(3)))"
    printed = run([str(environment / "bin" / "python"), "-c", code], tmp_path)
    assert printed.split() == [str(clone / "histkit" / "__init__.py"), "3"]


def test_only_these_are_tracked_at_the_top_level() -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is no git checkout, or git is not installed")
    tracked = run(["git", "-c", "safe.directory=*", "ls-files", "-z"], ROOT).split("\0")  # another user's, too
    files = {".gitattributes", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md"}
    files |= {"mkdocs.yml", "pyproject.toml"}
    folders = {".ci", "benchmarks", "data", "docs", "frontend", "histkit", "notebooks", "tests", "tools"}
    assert {name for name in tracked if name and "/" not in name} == files
    assert {name.partition("/")[0] for name in tracked if "/" in name} == folders
    assert {name for name in tracked if name.startswith("data/")} == {"data/.gitkeep"}


def test_the_changelog_is_that_of_this_version() -> None:
    releases = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert hk.__version__ in releases[:2]
