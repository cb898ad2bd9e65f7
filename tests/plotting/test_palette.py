"""Colours: contrast, inks on any background, and groups that differ."""

from __future__ import annotations

from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histkit.plotting.palette import PALETTE, contrast, group_colours, inks_of, luminance, readable

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb

COLOURS = st.tuples(*[st.integers(0, 255)] * 3).map(lambda rgb: "#{:02x}{:02x}{:02x}".format(*rgb))


def contrast_by_hand(one: str, other: str) -> float:
    """Compute the contrast of WCAG 2, channel by channel."""
    levels = []
    for colour in (one, other):
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
        levels.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(levels) + 0.05) / (min(levels) + 0.05)


def oklab(colour: str) -> np.ndarray:
    """Convert to OKLab, by the matrices of its definition."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    cones = np.cbrt(
        np.array(
            [
                [0.4122214708, 0.5363325363, 0.0514459929],
                [0.2119034982, 0.6806995451, 0.1073969566],
                [0.0883024619, 0.2817188376, 0.6299787005],
            ]
        )
        @ linear
    )
    return (
        np.array(
            [
                [0.2104542553, 0.7936177850, -0.0040720468],
                [1.9779984951, -2.4285922050, 0.4505937099],
                [0.0259040371, 0.7827717662, -0.8086757660],
            ]
        )
        @ cones
    )


@given(COLOURS, COLOURS)
def test_an_ink_can_be_read_and_is_moved_only_if_it_could_not(colour: str, behind: str) -> None:
    ink = readable(colour, [behind])
    assert contrast_by_hand(ink, behind) >= 4.5
    assert contrast(ink, behind) == pytest.approx(contrast_by_hand(ink, behind))
    if contrast_by_hand(colour, behind) >= 4.5:
        assert ink == colour


@given(COLOURS, COLOURS, COLOURS)
def test_on_two_backgrounds_the_ink_can_be_read_on_both_where_any_can(colour: str, one: str, other: str) -> None:
    ink = readable(colour, [one, other])
    reached = min(contrast_by_hand(ink, one), contrast_by_hand(ink, other))
    best = max(min(contrast_by_hand(pole, one), contrast_by_hand(pole, other)) for pole in ("#000000", "#ffffff"))
    assert reached >= 4.5 or reached >= best - 1e-9


@pytest.mark.parametrize("face", ["white", "#e5e5e5", "#1e1e1e", "black"])
def test_forty_colours_differ_on_any_background(face: str) -> None:
    colours = group_colours(40, face)
    distances = [float(np.linalg.norm(oklab(one) - oklab(other))) for one, other in combinations(colours, 2)]
    assert min(distances) > 0.02  # what an eye can just tell apart
    first = [float(np.linalg.norm(oklab(one) - oklab(other))) for one, other in combinations(colours[:9], 2)]
    assert min(first) > 0.09
    if luminance(face) < 0.18:
        assert all(contrast_by_hand(colour, face) >= 3 for colour in colours)
    else:
        assert tuple(colours[:9]) == tuple(colour.lower() for colour in PALETTE)


@pytest.mark.parametrize(
    ("style", "text"),
    [("default", "#000000"), ("dark_background", "#ffffff"), ({"text.color": "#003366"}, "#003366")],
)
def test_the_ink_is_that_of_the_style(style: str, text: str) -> None:
    with plt.style.context(style):
        inks = inks_of(plt.subplots(figsize=(1, 1))[1])
        assert inks.title == inks.text == text
    plt.close("all")


def test_axes_of_another_style_than_the_one_in_force_are_seen() -> None:
    with plt.style.context("dark_background"):
        axes = plt.subplots(figsize=(1, 1))[1]
    assert contrast(inks_of(axes).text, "black") >= 4.5
    plt.close("all")
