"""Letters of any script: any installed font that has them is used, else one warning says what to install."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

import histkit as hk
from histkit.plotting import fonts
from histkit.plotting.fonts import advice_for
from tests.plotting.measure import problems
from tests.plotting.test_usage import frame_of, legend

mpl.use("Agg")
from matplotlib import font_manager
from matplotlib import pyplot as plt

pytestmark = pytest.mark.filterwarnings("ignore:The frame has no column 'history_item_id'")

RARE = "\ua9cf\U000118a0"  # a Javanese and a Warang Citi letter, which no common font has


@pytest.fixture(autouse=True)
def only_the_fonts_of_matplotlib(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    own = [entry for entry in font_manager.fontManager.ttflist if "mpl-data" in entry.fname]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [])
    monkeypatch.setattr(fonts, "_found", {})
    yield
    plt.close("all")


def font_file(folder: Path, letters: str, *, family: str = "Rare Letters", outline: bool = True) -> str:
    """Write a font in which each letter is a square, or nothing."""
    pen = TTGlyphPen(None)
    if outline:
        for move, point in (("moveTo", (50, 0)), ("lineTo", (50, 700)), ("lineTo", (550, 700)), ("lineTo", (550, 0))):
            getattr(pen, move)(point)
        pen.closePath()
    names = [f"glyph{place}" for place in range(len(letters))]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", *names])
    builder.setupCharacterMap({ord(letter): name for letter, name in zip(letters, names, strict=True)})
    builder.setupGlyf(dict.fromkeys([".notdef", *names], pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", *names], (600, 50)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, sTypoDescender=-200, usWeightClass=400)
    builder.setupPost()
    path = folder / f"{family}.ttf".replace(" ", "")
    builder.save(path)
    return str(path)


def caught(frame: Any) -> tuple[Any, list[str]]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        axes = hk.plot_usage(frame, "voice", "W")
        axes.figure.set_dpi(50)
        assert problems(axes.figure) == []
    return axes, [str(each.message) for each in found if "history_item_id" not in str(each.message)]


def test_a_font_that_is_installed_is_used(tmp_path: Path) -> None:
    font_manager.fontManager.addfont(font_file(tmp_path, RARE))
    axes, said = caught(frame_of([f"Voice {RARE}", "Ben"]))
    assert f"Voice {RARE}" in legend(axes)
    assert said == []


def test_a_font_that_was_installed_after_matplotlib_looked_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = font_file(tmp_path, RARE)
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(tmp_path / "broken.ttf"), path])
    axes, said = caught(frame_of([RARE, "Ben"]))
    assert RARE in legend(axes)
    assert said == []


def test_a_font_of_empty_letters_or_of_placeholders_is_not_used(tmp_path: Path) -> None:
    font_manager.fontManager.addfont(font_file(tmp_path, RARE, family="Nothing Seen", outline=False))
    font_manager.fontManager.addfont(font_file(tmp_path, RARE, family="Last Resort High-Efficiency"))
    axes, said = caught(frame_of([RARE, "Ben"]))
    assert sorted(legend(axes)) == ["Ben", "□ (id00ab)"]
    assert len(said) == 1


def test_one_warning_names_what_to_install() -> None:
    axes, said = caught(frame_of(["さくら", "桜", "Emoji 🎙️ host", RARE, "Ben"]))
    assert len(said) == 1
    assert "□ stands for them" in said[0]
    for font in ("Noto Sans CJK (fonts-noto-cjk)", "Symbola (fonts-symbola)", "Noto Sans Javanese (fonts-noto-core)"):
        assert said[0].count(font) == 1
    assert sorted(legend(axes))[:2] == ["Ben", "Emoji □ host (id02ab)"]
    with pytest.warns(UserWarning, match="No installed font has the letters") as found:
        hk.plot_share(frame_of(["さくら", "Ben"]))
    assert [Path(each.filename) for each in found if "letters" in str(each.message)] == [Path(__file__)]


@pytest.mark.parametrize(
    ("letter", "font"),
    [
        ("さ", "Noto Sans CJK"),
        ("桜", "Noto Sans CJK"),
        ("한", "Noto Sans CJK"),
        ("ｶ", "Noto Sans CJK"),
        ("ا", "Noto Sans Arabic"),
        ("क", "Noto Sans Devanagari"),
        ("ไ", "Noto Sans Thai"),
        ("🎙", "Symbola"),
        ("𝔸", "Symbola"),
        ("\U0010fffd", "Symbola"),
        ("ẞ", "Noto Sans"),
    ],
)
def test_the_advice_is_a_font_of_the_script(letter: str, font: str) -> None:
    assert advice_for(letter).rpartition(" (")[0] == font
