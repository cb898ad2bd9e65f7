"""axe-core, which finds what keeps people from reading or operating a page; a devDependency of frontend/."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parent.parent / "frontend/node_modules/axe-core/axe.min.js"
MISSING = "axe-core is not installed: npm ci in frontend/, or make frontend"


def violations(evaluate: Callable[[str], Any], within: str = "document") -> list[str]:
    """Return what axe-core finds on a page, one line per element; skip the test where it is not installed, fail in CI.

    Parameters
    ----------
    evaluate : callable
        Evaluates an expression in the page, as `Page.evaluate` of Playwright does: also under a Content Security Policy
        that allows no scripts.
    within : str
        The part of the page, as a JavaScript expression.
    """
    if not SOURCE.exists():
        if os.environ.get("CI"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    evaluate(SOURCE.read_text("utf-8"))
    found = evaluate(f"axe.run({within}).then(results => results.violations)")
    return [f"{rule['id']}: {rule['help']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]
