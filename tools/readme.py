"""Draw the README's chart from the sandbox's history and write its column table from `COLUMNS`."""

from __future__ import annotations

import re
from pathlib import Path

import histkit as hk

ROOT = Path(__file__).parent.parent


def column_table() -> str:
    """Make the Markdown table of the columns."""
    lines = ["| column | dtype | from the API's | meaning |", "|---|---|---|---|"]
    for column in hk.COLUMNS:
        source = f"`{column.field}`" if column.field else ""
        lines.append(f"| `{column.name}` | `{column.pandas}` | {source} | {column.meaning} |")
    return "\n".join(lines)


def main() -> None:
    """Write both."""
    readme = ROOT / "README.md"
    text = re.sub(
        r"(<!-- columns -->\n).*?(\n<!-- /columns -->)",
        lambda found: found[1] + column_table() + found[2],
        readme.read_text(),
        flags=re.DOTALL,
    )
    readme.write_text(text)
    axes = hk.sample_history(5000).speech.plot_usage(by="voice", freq="MS")
    axes.figure.savefig(ROOT / "docs" / "usage.png", dpi=120)


if __name__ == "__main__":
    (ROOT / "docs").mkdir(exist_ok=True)
    main()
