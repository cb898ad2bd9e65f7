"""``histkit sandbox``: a made-up account on this machine."""

from __future__ import annotations

from typing import Any

import click

from histkit.sandbox import Sandbox, run
from histkit.util.text import count_noun


def sandbox(items: int, seed: int, port: int, fault: tuple[str, ...]) -> None:
    """Run ``histkit sandbox`` with the values of its options."""

    def announce(box: Sandbox) -> None:
        click.echo(f"export ELEVENLABS_BASE_URL={box.url}")
        click.echo(f"export ELEVENLABS_API_KEY={box.api_key}")
        click.echo(f"Serving {count_noun(items, 'made-up row')}; stop with Ctrl-C.", err=True)

    try:
        run(items, seed, port=port, started=announce, **dict(map(_fault, fault)))
    except (ValueError, OSError) as error:
        raise click.UsageError(str(error)) from None


def _fault(text: str) -> tuple[str, Any]:
    name, mark, value = text.partition("=")
    if not mark:
        raise ValueError(f"--fault {text}: write NAME=VALUE, e.g. error_500=0.1")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, {"true": True, "false": False, "none": None}.get(value.lower(), value)
