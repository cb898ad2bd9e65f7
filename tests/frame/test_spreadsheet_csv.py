"""A CSV file that a spreadsheet saved again is the frame that was written, or it is refused by name."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import histkit as hk

DF = hk.sample_history(120, seed=4)
LOCALES = {  # separator, decimal point, date, words of True and False
    "English": (",", ".", "%-m/%-d/%Y %H:%M", "TRUE", "FALSE"),
    "German": (";", ",", "%d.%m.%Y %H:%M", "WAHR", "FALSCH"),
    "French": (";", ",", "%d/%m/%Y %H:%M", "VRAI", "FAUX"),
    "Polish": (";", ",", "%Y-%m-%d %H:%M", "PRAWDA", "FAŁSZ"),
    "Unicode text": ("\t", ",", "%d.%m.%Y %H:%M:%S", "TRUE", "FALSE"),
}


def resaved(frame: pd.DataFrame, path: Path, locale: str, encoding: str, *, dates: bool = True) -> Path:
    """Write a frame, and save the file again as a spreadsheet of some language does."""
    separator, point, form, yes, no = LOCALES[locale]
    path.unlink(missing_ok=True)
    rows = list(csv.reader(io.StringIO(hk.to_csv(frame, path).read_bytes().decode(), newline="")))
    names = rows[0]

    def cell(name: str, text: str) -> str:
        if name == "date" and text and dates:
            return pd.Timestamp(text).strftime(form)
        if name in ("stability", "similarity_boost", "style", "speed", "cost"):
            return text.replace(".", point)
        return {"True": yes, "False": no}.get(text, text) if name == "use_speaker_boost" else text

    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=separator, lineterminator="\r\n")
    writer.writerows([names, *([cell(*pair) for pair in zip(names, row, strict=True)] for row in rows[1:])])
    path.write_bytes(file.getvalue().encode(encoding, "replace"))
    return path


def without_empty_texts(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(text=frame["text"].replace("", pd.NA).astype(frame["text"].dtype))


def same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(left, without_empty_texts(right), check_categorical=False)
    assert left.astype(object).equals(without_empty_texts(right).astype(object))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("locale", LOCALES)
def test_a_file_that_was_saved_again_is_the_frame(locale: str, encoding: str, tmp_path: Path) -> None:
    same(hk.read_csv(resaved(DF, tmp_path / "a.csv", locale, encoding)), DF)


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
def test_both_byte_orders_are_read(order: str, tmp_path: Path) -> None:
    path = resaved(DF, tmp_path / "a.csv", "German", order)
    path.write_bytes("\ufeff".encode(order) + path.read_bytes())
    same(hk.read_csv(path), DF)


def test_windows_1252_is_read(tmp_path: Path) -> None:
    some = DF.head(3).assign(text=pd.array(["Grüße – „so“", "€ 5", "plain"], "string[pyarrow]"))
    some = some[["history_item_id", "date", "date_unix", "text", "credits"]]
    same(hk.read_csv(resaved(some, tmp_path / "a.csv", "German", "cp1252")), some)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1, max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(texts, st.none() | st.floats(0, 1), st.integers(1_420_070_400, 4_000_000_000)), max_size=5),
    st.sampled_from(sorted(LOCALES)),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_any_text_number_and_date_survives_any_language(
    tmp_path: Path, rows: list[Any], locale: str, encoding: str
) -> None:
    frame = pd.DataFrame(
        {
            "text": pd.array([text for text, _, _ in rows], "string[pyarrow]"),
            "style": pd.array([number for _, number, _ in rows], "Float64"),
            "date": pd.to_datetime([second for _, _, second in rows], unit="s", utc=True).astype("datetime64[us, UTC]"),
            "date_unix": pd.array([second for _, _, second in rows], "Int64"),
        }
    )
    pd.testing.assert_frame_equal(hk.read_csv(resaved(frame, tmp_path / "a.csv", locale, encoding)), frame)


def test_other_columns_have_numbers_too_and_a_usage_table_is_read(tmp_path: Path) -> None:
    table = DF.head(4)[["history_item_id", "credits"]].assign(cost=[0.5, 1.25, 3.0, 0.125])
    same_cost = hk.read_csv(resaved(table, tmp_path / "a.csv", "German", "utf-8"))
    assert same_cost["cost"].tolist() == [0.5, 1.25, 3.0, 0.125]
    (tmp_path / "b.csv").write_bytes(b"sep=;\r\nvoice_name;credits\r\nRachel;5\r\n")
    assert hk.read_csv(tmp_path / "b.csv").values.tolist() == [["Rachel", 5]]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("history_item_id;credits\n1,23E+15;5", r"'history_item_id'.*'1,23E\+15' is a number that a spreadsheet made"),
        ("voice_id;credits\n2.1E+19;5", r"'voice_id'.*'2\.1E\+19' is a number that a spreadsheet made of an id"),
        ("history_item_id;date_unix\nab;1,78661E+09", r"'date_unix'.*'1,78661E\+09' is a number that .* shortened"),
        ("history_item_id,date\nab,10/1/2026 14:30", "'date'.*'10/1/2026 14:30' could mean several days"),
        ("history_item_id,date\nab,01.10.2026 14:30", "'date'.*'01.10.2026 14:30' has lost its seconds"),
        ("history_item_id,date\nab,01. Okt", "'date'.*'01. Okt' could mean several days"),
        ("history_item_id,style\nab,05. Jan", "'style'"),
        ("history_item_id,use_speaker_boost\nab,maybe", "'use_speaker_boost'.*'maybe' is neither True nor False"),
        ("history_item_id^credits\nab^5", r"columns are separated by '\^'"),
        ("history_item_id,credits,credits\nab,5,5", "several columns named 'credits'"),
        ("history_item_id;credits\nab;5;6", "can't be read as CSV"),
    ],
)
def test_what_was_changed_for_good_is_refused_by_name(lines: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(lines + "\n", "utf-8")
    with pytest.raises((hk.SchemaError, hk.ArchiveError), match=says) as caught:
        hk.read_csv(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_dotted_date_with_its_seconds_is_sure(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("history_item_id;date\na;01.10.2026 14:30:05\nb;2026-10-01 14:30:05\nc;\n", "utf-8")
    dates = hk.read_csv(path)["date"]
    assert dates.iloc[0] == dates.iloc[1] == pd.Timestamp("2026-10-01 14:30:05Z")
    assert dates.isna().tolist() == [False, False, True]


def test_a_column_named_twice_is_an_input_error(tmp_path: Path) -> None:
    path = hk.to_parquet(DF, tmp_path / "a.parquet")
    with pytest.raises(hk.InputError, match="columns= names 'voice_id' twice"):
        hk.read_parquet(path, columns=["voice_id", "voice_id"])
