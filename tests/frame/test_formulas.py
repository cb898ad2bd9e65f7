"""CSV that no spreadsheet runs a formula of, whichever separator it splits at, and that `read_csv` reads exactly."""

from __future__ import annotations

import csv
import io
import itertools
import re
import shutil
import subprocess
from pathlib import Path

import openpyxl
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import histkit as hk
from histkit.frame.files import csv_text
from histkit.frame.formulas import guard_formulas, remove_guards

SIGNS = ["=1+1", "+1+1", "-1+1", "@SUM(1;1)", "=cmd|' /C calc'!A0", '=HYPERLINK("http://a.b";"c")']
SIGNS += ["\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20a", "-5", "\u22125"]
BEFORE = ["", " ", "\u00a0 ", "\t", "\r", "\n", "'", '"', "''", "\ufeff", "\u200b", "\x1b", "\x00"]
INSIDE = ["", "a;", "a; ", "a\t", "a\n", "a\r\n", 'a;"', 'a";"', "a\u2028", ";;", ";\t;", "a;'"]
ATTACKS = [inside + before + sign for inside in INSIDE for before in BEFORE for sign in SIGNS]
PIECES = st.text("=+-@;'\"\t\n\r \ufeff\u3000\uff1d\u2028a1,|\u200b\x85\0", max_size=8)
TEXTS = st.one_of(st.text(st.characters(codec="utf-8"), max_size=12), PIECES)
STARTS = re.compile(r"[\s\"\x00-\x20\x7f-\xa0\u200b\ufeff\u3000]*[=+\-@\uff1d\uff0b\uff0d\uff20]")
SPLITS = re.compile(r"[;\t\n\v\f\r\x85\u2028\u2029]")


def guarded(text: str) -> str:
    result: list[str] = guard_formulas(pa.chunked_array([[text]], pa.string())).to_pylist()
    return result[0]


@given(texts=st.lists(TEXTS, min_size=1, max_size=5))
def test_guards_are_removed_exactly_and_leave_no_formula(texts: list[str]) -> None:
    column = guard_formulas(pa.chunked_array([texts], pa.string()))
    assert remove_guards(column).to_pylist() == texts
    for text in column.to_pylist():
        for part in (text, *SPLITS.split(text)):
            assert not STARTS.match(part), part


def test_every_attack_is_guarded_and_ordinary_texts_are_not() -> None:
    for text in ATTACKS:
        assert "'" in guarded(text)
    for text in ("Hello", "it's; fine", "a - b", "3 + 4 = 7", "x@y.z", "1-2", "Well; yes\nno"):
        assert guarded(text) == text


@given(texts=st.lists(TEXTS.filter(lambda text: "\0" not in text), min_size=1, max_size=4), name=TEXTS)
def test_a_file_comes_back_exactly_with_any_texts_and_names(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], name: str
) -> None:
    frame = pd.DataFrame({"text": pd.array(texts, "string[pyarrow]"), f"={name}".replace("\0", ""): "a"})
    again = hk.read_csv(hk.to_csv(frame, tmp_path_factory.mktemp("csv") / "a.csv"))
    assert again.columns.tolist() == frame.columns.tolist()
    assert again["text"].tolist() == texts


def test_lists_and_names_are_guarded_too() -> None:
    frame = pd.DataFrame({"=1+1": ["a"], "dialogue": [[{"text": "x;=1+1", "voice_id": "v"}]]})
    header, row = csv.reader(io.StringIO(csv_text(frame)))
    assert header[0] == "'=1+1"
    assert "x;'=1+1" in row[1]


@pytest.mark.skipif(shutil.which("soffice") is None, reason="needs LibreOffice")
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_libreoffice_finds_no_formula(tmp_path: Path, separator: str) -> None:
    attacks = [text.replace("\0", "") for text in ATTACKS]
    frame = pd.DataFrame(
        {"text": pd.array(attacks, "string[pyarrow]"), "=1+1": attacks[::-1], "count": range(len(attacks))}
    )
    assert list(formulas(hk.to_csv(frame, tmp_path / "guarded.csv"), separator)) == []
    (tmp_path / "plain.csv").write_text(separator.join(["a", "=1+1"]) + "\n")
    assert list(formulas(tmp_path / "plain.csv", separator)) == ["=1+1"]  # this would have found some


def formulas(path: Path, separator: str) -> list[str]:
    """Return the formulas that LibreOffice reads from a CSV file, split at a separator."""
    options = f"{ord(separator)},34,76,1,,0,false,true,false,false,false,0,true"
    target = path.parent / f"{path.stem}-xlsx"
    command = ["soffice", f"-env:UserInstallation={(path.parent / 'profile').as_uri()}", "--headless"]
    command += ["--convert-to", "xlsx:Calc MS Excel 2007 XML", f"--infilter=CSV:{options}", "--outdir", str(target)]
    subprocess.run([*command, str(path)], check=True, capture_output=True, timeout=300)
    sheet = openpyxl.load_workbook(target / f"{path.stem}.xlsx").worksheets[0]
    cells = itertools.chain.from_iterable(sheet.iter_rows())
    return [str(cell.value) for cell in cells if cell.data_type == "f"]
