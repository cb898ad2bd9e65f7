"""What a user would pick: histkit, the official SDK in a loop, requests in a loop; each reads all and makes a frame."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd


def histkit(url: str, key: str, workers: int, alignments: bool) -> pd.DataFrame:
    """`histkit.read_history`."""
    import histkit as hk

    with hk.HistoryClient(key, base_url=url, max_concurrency=workers) as client:
        return hk.read_history(client=client, workers=workers, alignments=alignments, progress=False)


def official_sdk(url: str, key: str, workers: int, alignments: bool) -> pd.DataFrame:
    """Loop over the official SDK's ``history.list``, pages of 1,000, rows as plain dicts."""
    from elevenlabs import ElevenLabs

    client = ElevenLabs(api_key=key, base_url=url)
    rows: list[dict[str, object]] = []
    cursor = None
    while True:
        page = client.history.list(page_size=1000, start_after_history_item_id=cursor)
        rows += [item.model_dump(exclude=None if alignments else {"alignments"}) for item in page.history]
        if not page.has_more:
            return _typed(rows)
        cursor = page.last_history_item_id


def by_hand(url: str, key: str, workers: int, alignments: bool) -> pd.DataFrame:
    """Loop as people write it: one requests session, ``response.json()``, pages of 1,000."""
    import requests

    rows: list[dict[str, object]] = []
    parameters: dict[str, object] = {"page_size": 1000}
    with requests.Session() as session:
        while True:
            response = session.get(f"{url}/v1/history", params=parameters, headers={"xi-api-key": key}, timeout=60)
            response.raise_for_status()
            page = response.json()
            for row in page["history"]:
                if not alignments:
                    row.pop("alignments", None)
                rows.append(row)
            if not page["has_more"]:
                return _typed(rows)
            parameters["start_after_history_item_id"] = page["last_history_item_id"]


def _typed(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Make the least that one would do next: dates, credits, characters, categories."""
    df = pd.DataFrame(rows)
    df["date"] = pd.to_datetime(df["date_unix"], unit="s", utc=True)
    df["credits"] = df["character_count_change_to"] - df["character_count_change_from"]
    df["characters"] = df["text"].str.len()
    for name in ("voice_id", "voice_name", "model_id", "source"):
        df[name] = df[name].astype("category")
    return df


CONTENDERS: dict[str, Callable[[str, str, int, bool], pd.DataFrame]] = {
    "histkit": histkit,
    "requests by hand": by_hand,
    "official SDK": official_sdk,
}
