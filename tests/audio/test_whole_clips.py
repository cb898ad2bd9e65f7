"""A clip is whole, or it is not there: from the response to the deletion of the original, over a real socket."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import histkit as hk
from histkit.deletion.delete import delete
from histkit.sandbox import Sandbox
from histkit.sandbox.responses import BODY_FAULTS
from tests.conftest import client_of

pytestmark = pytest.mark.usefixtures("short_waits")

FORMATS = {
    "mp3_44100_128": "audio/mpeg",
    "wav_44100": "audio/wav",
    "opus_48000_32": "audio/ogg",
    "pcm_24000": "audio/pcm",
    "ulaw_8000": "audio/basic",
}
RAW = ("pcm_24000", "ulaw_8000")
TEXT = "A sentence of about sixty characters, to be spoken in time."


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def rows_of(box: Sandbox, formats: dict[str, str | None] | None = None, each: int = 1, **fields: Any) -> pd.DataFrame:
    """Add rows of some formats, and return them in that order."""
    ids = []
    for output_format, content_type in (formats or FORMATS).items():
        declared = {"output_format": output_format or None, "content_type": content_type, "text": TEXT}
        ids += box.add(each, **(declared | fields))
    df = hk.read_history(client=client_of(box), progress=False)
    return df.set_index("history_item_id").loc[ids].reset_index()


def pull(df: pd.DataFrame, box: Sandbox, folder: Path | str = "audio", **options: Any) -> pd.DataFrame:
    with client_of(box, max_retries=options.pop("max_retries", 0)) as client:
        return hk.download_audio(df, folder, client=client, progress=False, name="{id}", **options)


def deletable(df: pd.DataFrame, folder: Path | str = "audio") -> list[bool]:
    """Return which rows a deletion with `only_verified` would delete."""
    return (delete(df, only_verified=folder, progress=False)["status"] == "would delete").tolist()


def true_hashes(df: pd.DataFrame, box: Sandbox) -> list[str]:
    """Return the hash of each row's audio as the service has it."""
    with client_of(box) as client:
        return [hashlib.sha256(b"".join(client.get_audio(item))).hexdigest() for item in df["history_item_id"]]


def test_whole_clips_are_proven_as_well_as_their_format_allows(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(10)
    df = rows_of(box)
    pulled = pull(df, box)
    assert pulled["proof"].tolist() == ["structure", "structure", "structure", "length", "length"]
    assert pulled["seconds"].between(3.5, 4.5).all()
    assert pull(df, box)["proof"].equals(pulled["proof"])
    checked = hk.verify("audio", progress=False)
    assert checked.set_index("history_item_id")["proof"].loc[df["history_item_id"]].tolist() == pulled["proof"].tolist()
    assert checked.attrs["histkit"]["proofs"] == {"structure": 3, "length": 2}
    assert deletable(df) == [True] * 5
    for file in ("manifest.parquet", "manifest.csv"):
        read = hk.read_parquet if file.endswith("parquet") else pd.read_csv
        saved = read(Path("audio", file)).set_index("history_item_id")["proof"]
        assert saved.loc[df["history_item_id"]].tolist() == pulled["proof"].tolist()
    with client_of(box) as client:
        zipped = hk.download_zip(df, "all.zip", client=client, progress=False)
    assert zipped["proof"].tolist() == pulled["proof"].tolist()


@pytest.mark.parametrize("fault", BODY_FAULTS)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_what_is_not_whole_never_lets_an_original_be_deleted(
    box_of: Callable[..., Sandbox], fault: str, share: float
) -> None:
    box = box_of(10, cut_share=share)
    df = rows_of(box)
    box.set(**{fault: True})
    with client_of(box, max_retries=0, max_clip_bytes=3 << 20) as client:
        pulled = hk.download_audio(df, "audio", client=client, progress=False)
        done = pulled["status"] == "done"
        if done.any():
            zipped = hk.download_zip(df, "all.zip", client=client, progress=False)
            assert zipped["status"].tolist() == pulled["status"].tolist()
        else:
            with pytest.raises(hk.DownloadError, match="No clip could be downloaded"):
                hk.download_zip(df, "all.zip", client=client, progress=False)
    assert set(pulled["status"][~done]) <= {"failed"}
    assert not done[~df["output_format"].isin(RAW)].any()
    assert done.any() == fault.startswith("cut")
    assert pulled["error"][pulled["status"] == "failed"].notna().all()
    assert not list(Path("audio").glob("*.part"))
    proof = {"cut_sized": "length", "cut_unsized": "none"}.get(fault)
    assert set(pulled["proof"].dropna()) == ({proof} if proof else set())
    if proof is not None:  # raw samples show no end; only a declared length lets them be deleted, and is counted
        plan = delete(df, only_verified="audio", progress=False)
        assert (plan["status"] == "would delete").tolist() == (done & (proof == "length")).tolist()
        facts = plan.attrs["histkit"]
        assert (facts["known_by_length"], facts["unproven"]) == (done.sum(), 0)[:: 1 if proof == "length" else -1]
    box.set(**{fault: False})
    again = pull(df, box, overwrite=True)
    assert again["status"].tolist() == ["done"] * 5
    assert again["sha256"].tolist() == true_hashes(df, box)


@pytest.mark.parametrize("fault", ["cut_sized", "cut_unsized", "partial", "no_content", "empty"])
def test_a_passing_fault_of_a_body_is_retried(box_of: Callable[..., Sandbox], fault: str) -> None:
    box = box_of(10)
    df = rows_of(box, {name: kind for name, kind in FORMATS.items() if name not in RAW}, each=2)
    for target in ("folder", "zip"):
        box.set(**{fault: 3})
        with client_of(box, max_retries=4) as client:
            if target == "folder":
                pulled = hk.download_audio(df, "audio", client=client, progress=False)
            else:
                pulled = hk.download_zip(df, "all.zip", client=client, progress=False)
        assert pulled["status"].tolist() == ["done"] * 6
        assert pulled["sha256"].tolist() == true_hashes(df, box)
        assert set(pulled["proof"]) == {"structure"}


def test_messages_are_one_clear_line(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(10)
    df = rows_of(box, {"wav_44100": "audio/wav"})
    lines = {
        "partial": "A part of the clip came instead of the whole (HTTP 206, bytes 0-",
        "no_content": "No clip came (HTTP 204).",
        "empty": "The clip came empty.",
        "cut_sized": "The WAV holds 17",
        "cut_unsized": "The WAV holds 17",
    }
    for fault, line in lines.items():
        box.set(**{fault: True})
        assert pull(df, box, fault)["error"][0].startswith(line)
        box.set(**{fault: None})
    box.set(endless=True)
    with client_of(box, max_retries=3, max_clip_bytes=5_000_000) as client:
        box.reset()
        pulled = hk.download_audio(df, "endless", client=client, progress=False)
    assert "larger than 5,000,000 bytes (max_clip_bytes)" in pulled["error"][0]
    assert len(box.requests()) == 1  # it would be as large the next time


def test_a_clip_that_declares_too_much_is_refused_at_once(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(10)
    df = rows_of(box)
    with client_of(box, max_clip_bytes=40_000) as client:
        pulled = hk.download_audio(df, "audio", client=client, progress=False)
        zipped = hk.download_zip(df, "all.zip", client=client, progress=False)
    small = [size <= 40_000 for size in (63_954, 350_252, 17_162, 190_608, 31_768)]
    assert pulled["status"].tolist() == ["done" if fits else "failed" for fits in small]
    assert zipped["status"].tolist() == pulled["status"].tolist()


@pytest.mark.parametrize("sizes", ["7fffffff", "ffffffff"])
@pytest.mark.parametrize("unsized", [False, True])
def test_a_wav_of_a_stream_is_as_long_as_what_is_there(
    box_of: Callable[..., Sandbox], sizes: str, unsized: bool
) -> None:
    box = box_of(10)
    df = rows_of(box, {"wav_44100": "audio/wav", "wav_24000": "audio/wav"})
    whole = pull(df, box, "whole")
    box.set(wav_sizes=sizes, unsized=unsized)
    pulled = pull(df, box)
    assert pulled["status"].tolist() == ["done", "done"]
    assert pulled["seconds"].tolist() == pytest.approx(whole["seconds"].tolist())
    assert set(pulled["proof"]) == {"none" if unsized else "length"}
    assert deletable(df) == [False, False]
    plan = delete(df, only_verified="audio", progress=False)
    assert plan["error"].str.contains("verify('audio', prove=True)", regex=False).all()
    with client_of(box) as client:
        proven = hk.verify("audio", prove=True, client=client, progress=False)
    assert set(proven["proof"]) == {"hash"}
    assert deletable(df) == [True, True]


def test_a_second_download_proves_what_has_no_structure(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(10, unsized=True)
    df = rows_of(box, {name: FORMATS[name] for name in (*RAW, "mp3_44100_128")}, each=2)
    first = pull(df, box)
    assert first["proof"].tolist() == ["none"] * 4 + ["structure"] * 2
    assert deletable(df) == [False] * 4 + [True] * 2
    box.reset()
    with client_of(box) as client:
        proven = hk.verify("audio", prove=True, client=client, progress=False)
    assert len(box.requests()) == 4
    assert (proven["status"] == "ok").all()
    assert proven.attrs["histkit"]["proofs"] == {"hash": 4, "structure": 2}
    assert deletable(df) == [True] * 6
    assert pull(df, box)["proof"].tolist() == ["hash"] * 4 + ["structure"] * 2
    pull(df, box, "again")
    assert pull(df, box, "again", overwrite=True)["proof"].tolist() == ["hash"] * 4 + ["structure"] * 2
    box.reset()
    assert hk.verify("audio", prove=True, progress=False).attrs["histkit"]["proofs"] == {"hash": 4, "structure": 2}
    assert box.requests() == []


def test_a_second_download_unmasks_the_first(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(10)
    df = rows_of(box, {name: FORMATS[name] for name in RAW})
    box.set(cut_sized=True)
    assert set(pull(df, box)["proof"]) == {"length"}
    box.set(cut_sized=None)
    with client_of(box) as client:
        proven = hk.verify("audio", prove=True, forget=True, client=client, progress=False)
    assert set(proven["status"]) == {"damaged"}
    assert proven["error"].str.startswith("A second download differs").all()
    assert proven.attrs["histkit"]["forgotten"] == 2
    again = pull(df, box)
    assert again["status"].tolist() == ["done", "done"]
    assert again["sha256"].tolist() == true_hashes(df, box)


def test_a_second_download_that_fails_proves_nothing(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(10, unsized=True)
    df = rows_of(box, {"pcm_24000": "audio/pcm"}, each=2)
    pull(df, box)
    box.remove(df["history_item_id"][0])
    box.set(error_500=True)
    with client_of(box, max_retries=0) as client:
        checked = hk.verify("audio", prove=True, client=client, progress=False)
    assert checked["status"].tolist() == ["ok", "ok"]
    assert checked["proof"].tolist() == ["none", "none"]
    assert checked["error"].str.startswith("Not downloaded again: ").all()


def test_a_header_that_was_added_here_proves_nothing(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(10)
    df = rows_of(box, {"pcm_24000": "audio/pcm", "ulaw_8000": "audio/basic", "mp3_44100_128": "audio/mpeg"})
    box.set(cut_unsized=True, only="audio")
    pulled = pull(df, box, format="wav")
    assert pulled["path"].str.endswith(".wav").all()
    assert pulled["proof"].tolist() == ["none", "none", "structure"]  # the service converts the MP3
    assert deletable(df) == [False, False, True]
    checked = hk.verify("audio", progress=False).set_index("history_item_id")["proof"]
    assert checked.loc[df["history_item_id"]].tolist() == ["none", "none", "structure"]
    box.set(cut_unsized=None)
    assert pull(df, box, "sized", format="wav")["proof"].tolist() == ["length", "length", "structure"]
    plan = delete(df, only_verified="sized", progress=False)
    assert (plan["status"] == "would delete").all()
    assert plan.attrs["histkit"]["known_by_length"] == 2
    with client_of(box) as client:
        proven = hk.verify("sized", prove=True, client=client, progress=False)
    assert set(proven["proof"]) == {"hash", "structure"}


@pytest.mark.parametrize("converted", [None, "wav"])
def test_a_manifest_without_proofs_is_judged_by_the_bytes(box_of: Callable[..., Sandbox], converted: Any) -> None:
    box = box_of(10)
    df = rows_of(box)
    pull(df, box, format=converted)
    manifest = hk.read_parquet("audio/manifest.parquet").drop(columns=["proof"])
    manifest.attrs = {}  # the checksum, which histkit 0.1 didn't write
    hk.to_parquet(manifest.assign(output_format=None, content_type=None), "audio/manifest.parquet")
    skipped = pull(df, box, format=converted)
    assert skipped["status"].tolist() == ["skipped"] * 5
    assert skipped["proof"].isna().all()
    checked = hk.verify("audio", progress=False).set_index("history_item_id")["proof"].loc[df["history_item_id"]]
    expected = ["structure", "structure", "structure", "none", "none"]
    if converted:  # whether the service or histkit wrote the header is not known
        expected = ["none", "structure", "none", "none", "none"]
    assert checked.tolist() == expected
    assert deletable(df) == [proof == "structure" for proof in expected]
    with client_of(box) as client:
        proven = hk.verify("audio", prove=True, client=client, progress=False)
    assert set(proven["status"]) == {"ok"}
    assert set(proven["proof"]) == {"structure", "hash"}


def test_a_cut_file_of_an_older_version_is_named_and_replaced(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(10)
    df = rows_of(box, {name: kind for name, kind in FORMATS.items() if name not in RAW})
    pulled = pull(df, box)
    manifest = hk.read_parquet("audio/manifest.parquet").drop(columns=["proof"])
    for row, path in enumerate(manifest["path"]):
        half = Path("audio", path).read_bytes()[: manifest["bytes"][row] // 2]
        Path("audio", path).write_bytes(half)
        manifest.loc[row, ["bytes", "sha256"]] = len(half), hashlib.sha256(half).hexdigest()
    manifest.attrs = {}  # the checksum, which histkit 0.1 didn't write
    hk.to_parquet(manifest, "audio/manifest.parquet")
    checked = hk.verify("audio", progress=False)
    assert set(checked["status"]) == {"damaged"}
    assert checked["proof"].isna().all()
    assert deletable(df) == [False] * 3
    assert hk.verify("audio", forget=True, progress=False).attrs["histkit"]["forgotten"] == 3
    assert pull(df, box)["sha256"].tolist() == pulled["sha256"].tolist()


@pytest.mark.parametrize("output_format", ["", "linear16_24000"])  # a row older than 2026-03, or newer than histkit
def test_bare_samples_of_rows_that_say_mp3_are_saved_and_marked(
    box_of: Callable[..., Sandbox], output_format: str
) -> None:
    box = box_of(10, bare_samples=True)
    df = rows_of(box, {"": "audio/mpeg"}, each=2)
    df["output_format"] = output_format or None
    pulled = pull(df, box)
    assert pulled["status"].tolist() == ["done", "done"]
    assert pulled["path"].str.endswith(".pcm").all()
    assert pulled["proof"].tolist() == ["none", "none"]
    assert pulled["seconds"].isna().all()
    assert pulled["error"].str.contains("sample_rate=", regex=False).all()
    assert deletable(df) == [False, False]
    wav = pull(df, box, "wav", format="wav", sample_rate=24_000)
    assert wav["path"].str.endswith(".wav").all()
    assert wav["seconds"].tolist() == pytest.approx((pulled["bytes"] / 48_000).tolist())
    assert wav["proof"].tolist() == ["none", "none"]
    assert wav["error"].isna().all()
    with client_of(box) as client:
        zipped = hk.download_zip(df, "all.zip", client=client, format="wav", sample_rate=24_000, progress=False)
        assert zipped["sha256"].tolist() == wav["sha256"].tolist()
        for folder in ("audio", "wav"):
            assert set(hk.verify(folder, prove=True, client=client, progress=False)["proof"]) == {"hash"}
            assert deletable(df, folder) == [True, True]
    with pytest.raises(hk.InputError, match="sample_rate"):
        pull(df, box, sample_rate=0)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        *((fault, "gone") for fault in ("rate_limit", "too_many", "empty", "no_content")),
        ("html", "failed"),  # of a proxy, not of the service
    ],
)
def test_a_row_that_is_gone_is_gone_whatever_the_service_answers_for_its_clip(
    box_of: Callable[..., Sandbox], fault: str, status: str
) -> None:
    box = box_of(10)
    df = rows_of(box, {"mp3_44100_128": "audio/mpeg"}, each=2)
    box.remove(df["history_item_id"][0])
    box.set(**{fault: True}, only="audio")
    pulled = pull(df, box, max_retries=1)
    assert pulled["status"].tolist() == [status, "failed"]


def test_a_clip_far_too_short_for_its_row_is_suspect(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(10, alignments=True)
    df = rows_of(box)
    with client_of(box) as client:
        full = hk.read_history(client=client, alignments=True, progress=False)
    full = full.set_index("history_item_id").loc[df["history_item_id"]].reset_index()
    pulled = pull(df, box)
    assert deletable(full.assign(duration=pulled["seconds"] * 1.9)) == [True] * 5
    suspect = delete(full.assign(duration_ms=pulled["seconds"] * 3000), only_verified="audio", progress=False)
    assert set(suspect["status"]) == {"kept"}
    assert suspect["error"].str.contains("and should last 1").all()
    assert suspect.attrs["histkit"]["suspect"] == 5
    ends = [f'{{"alignment":{{"character_end_times_seconds":[1.5,{seconds * 3}]}}}}' for seconds in pulled["seconds"]]
    assert deletable(df.assign(alignments=ends)) == [False] * 5
    wordy = df.assign(characters=5000)  # only raw samples are judged by their text
    assert deletable(wordy) == [True] * 3 + [False] * 2


def test_the_zip_and_the_single_clip_that_agree_are_a_hash(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(10)
    ids = [box.add(1, output_format="pcm_24000", content_type="audio/pcm", text=TEXT)[0] for _ in range(6)]
    df = hk.read_history(client=client_of(box), progress=False)
    df = df[df["history_item_id"].isin(ids)]
    with client_of(box) as client:
        zipped = hk.download_zip(df, "all.zip", client=client, progress=False)
    assert Counter(zipped["proof"]) == {"hash": 1, "length": 5}  # one clip is requested both ways


def count_bodies(box: Sandbox, folder: Path, rows: int) -> pd.DataFrame:
    """Pull clips of each format through each fault of a body, and count what came of them.

    Returns
    -------
    DataFrame
        A row per fault: ``clips`` requested, ``refused``, ``saved`` (of these whole and not), ``deletable`` originals,
        ``deletable and not whole``: raw samples whose cut length was declared, which nothing can show.
    """
    df = rows_of(box, each=rows)
    truth = true_hashes(df, box)
    counts = []
    for fault in BODY_FAULTS:
        box.set(**{fault: 0.5})
        with client_of(box, max_retries=0, max_clip_bytes=3 << 20) as client:
            pulled = hk.download_audio(df, folder / fault, client=client, progress=False, name="{id}")
        box.set(**{fault: None})
        whole = pd.Series(pulled["sha256"].fillna("") == truth, dtype=bool)
        plan = delete(df, only_verified=folder / fault, progress=False)["status"] == "would delete"
        raw = df["output_format"].isin(RAW)
        saved = pulled["path"].notna()
        counts.append(
            {
                "fault": fault,
                "clips": len(df),
                "refused": int((~saved).sum()),
                "saved whole": int((saved & whole).sum()),
                "saved in part": int((saved & ~whole).sum()),
                "deletable": int(plan.sum()),
                "deletable in part": int((plan & ~whole & ~raw).sum()),
                "in part, by length": int((plan & ~whole & raw).sum()),
            }
        )
    return pd.DataFrame(counts)


def check_bodies(table: pd.DataFrame) -> None:
    assert (table["deletable in part"] == 0).all()
    by_length = table.set_index("fault")["in part, by length"]
    assert by_length.drop("cut_sized").sum() == 0
    assert (table["refused"] > 0).all()
    assert (table["deletable"] > 0).all()


def test_half_of_all_bodies_faulty(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    check_bodies(count_bodies(box_of(10), tmp_path, 2))


@pytest.mark.faults
@pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.75, 0.99])
def test_the_matrix_of_bodies(box_of: Callable[..., Sandbox], tmp_path: Path, share: float) -> None:
    table = count_bodies(box_of(10, seed=round(100 * share), cut_share=share), tmp_path, 60)
    print(table.to_string())
    check_bodies(table)
