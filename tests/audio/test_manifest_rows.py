"""A manifest of which only some clips are decoded answers as one that is decoded whole."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histkit.audio.destination import LocalFolder
from histkit.audio.manifest import MANIFEST, Entry, FolderManifest
from histkit.errors import DownloadError
from histkit.util.filenames import unique_names

STEMS = ["a", "A", "b/c", "B/ç", "B/c\u0327", "b/\u212a", "b/k", "d.e", "straße/x", "STRASSE/y", "f/g/h"]
IDS = [f"id{number}" for number in range(30)]
ENTRIES = st.lists(
    st.builds(
        lambda item, stem, extension, done, wav, seconds: (
            Entry(item, f"{stem}.{extension}", "done", 3, seconds, "00", None, "length", format="wav" if wav else None)
            if done
            else Entry(item, None, "failed", error="no", stem=stem)
        ),
        st.sampled_from(IDS),
        st.sampled_from([*STEMS, *(f"x/{number}" for number in range(9))]),
        st.sampled_from(["mp3", "wav"]),
        st.sampled_from([True, True, False]),
        st.booleans(),
        st.sampled_from([None, 1.5]),
    ),
    max_size=40,
)


def written(folder: Path, entries: list[Entry]) -> LocalFolder:
    (folder / MANIFEST).unlink(missing_ok=True)
    record = FolderManifest(LocalFolder(folder))
    for entry in entries:
        record.add(entry)
    record.close()
    return LocalFolder(folder)


@given(entries=ENTRIES, ids=st.lists(st.sampled_from(IDS), max_size=4, unique=True), other=st.sampled_from(IDS))
def test_some_clips_are_found_as_in_all(tmp_path_factory, entries, ids, other):
    destination = written(tmp_path_factory.mktemp("audio"), entries)
    whole, some = FolderManifest(destination), FolderManifest(destination, ids)
    for stem in STEMS:
        stems = [stem] * len(ids)
        owners = some.paths_in_use({stem.rpartition("/")[0]})
        assert unique_names(stems, ids, owners) == unique_names(stems, ids, whole.paths_in_use(set()))
        for item in ids:
            for wav in (False, True):
                assert some.find(item, stem, wav) == whole.find(item, stem, wav)
    assert some.files_of(ids) == whole.files_of(ids)
    assert some.failure_of(other) == whole.failure_of(other)
    assert some.files() == whole.files()
    assert some.is_empty() == whole.is_empty()


@given(entries=ENTRIES, ids=st.lists(st.sampled_from(IDS), max_size=4, unique=True))
def test_clips_are_added_to_some_as_to_all(tmp_path_factory, entries, ids):
    results = []
    for known in (None, ids):
        destination = written(tmp_path_factory.mktemp("audio"), entries)
        record = FolderManifest(destination, known)
        record.add(Entry("id3", "b/c.mp3", "done", 5))
        record.close()
        results.append((destination.folder / "manifest.csv").read_bytes())
    assert results[0] == results[1]


def test_folders_of_any_case_are_looked_up(tmp_path):
    entries = [Entry(item, f"x/{item}.mp3", "done", 1) for item in IDS]
    destination = written(tmp_path, [*entries, Entry("ç", "STRASSE/ç.mp3", "done", 1)])
    owners = FolderManifest(destination, ["other"]).paths_in_use({"straße"})
    assert owners == {"strasse/ç": "ç"}


@pytest.mark.parametrize(
    ("column", "value"),
    [("path", "x/other.mp3"), ("bytes", 2), ("bytes", None), ("error", ""), ("seconds", 0.0), ("history_item_id", "i")],
)
@pytest.mark.parametrize("ids", [None, ["id3"]])
def test_a_changed_value_is_named(tmp_path, column, value, ids):
    destination = written(tmp_path, [Entry(item, f"x/{item}.mp3", "done", 1) for item in IDS])
    table = pq.read_table(tmp_path / MANIFEST)
    values = table.column(column).to_pylist()
    values[7] = value
    place = table.column_names.index(column)
    table = table.set_column(place, column, pa.array(values, table.schema.field(column).type))
    pq.write_table(table, tmp_path / MANIFEST)
    with pytest.raises(DownloadError, match="its rows are not those that were written"):
        FolderManifest(destination, ids)


@pytest.mark.parametrize("checksums", [(), ("crc32",), ("arrow_crc32",)])
def test_a_manifest_of_another_version_is_read(tmp_path, checksums):
    entries = [Entry(item, f"x/{item}.mp3", "done", 1, 2.5) for item in sorted(IDS)]
    destination = written(tmp_path, entries)
    table = pq.read_table(tmp_path / MANIFEST)
    facts = json.loads(table.schema.metadata[b"histkit"])
    kept = {name: value for name, value in facts.items() if "crc32" not in name or name in checksums}
    pq.write_table(table.replace_schema_metadata({b"histkit": json.dumps(kept).encode()}), tmp_path / MANIFEST)
    assert FolderManifest(destination).files() == FolderManifest(destination, ["id3"]).files() == entries


def test_lines_that_share_a_path_are_decoded_together(tmp_path):
    destination = written(tmp_path, [Entry(item, f"x/{item}.mp3", "done", 1) for item in IDS])
    table = pq.read_table(tmp_path / MANIFEST)
    pq.write_table(pa.concat_tables([table, table]).replace_schema_metadata({}), tmp_path / MANIFEST)
    assert len(FolderManifest(destination, ["id3"]).files()) == len(IDS)
    assert len(FolderManifest(destination, ["id3"]).files_of(["id3"])) == 1
