"""Contrast as WCAG 2.2 defines it (relative luminance, 1.4.3), of texts as a browser draws them."""

from __future__ import annotations

import re
from typing import NamedTuple

from playwright.sync_api import Page

LEAST = {False: 4.5, True: 3.0}
"""AA, for texts and for large texts."""
LARGE_PIXELS, LARGE_BOLD_PIXELS = 24.0, 18.66
Colour = tuple[float, float, float, float]

COLLECT = """() => {
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!text || element.closest('noscript, script, title') || !element.checkVisibility()) continue;
    const style = getComputedStyle(element), behind = [];
    for (let e = element; e; e = e.parentElement) behind.push(getComputedStyle(e).backgroundColor);
    found.push([text, element instanceof SVGElement ? style.fill : style.color, behind,
                parseFloat(style.fontSize), parseInt(style.fontWeight)]);
  }
  return found;
}"""


class Text(NamedTuple):
    """A text on a page."""

    words: str
    ratio: float
    is_large: bool


def texts(page: Page) -> list[Text]:
    """Every text that is visible, with its contrast."""
    return [
        Text(
            words,
            ratio(over(colour(ink), ground := background(behind)), ground),
            size >= LARGE_PIXELS or (weight >= 700 and size >= LARGE_BOLD_PIXELS),
        )
        for words, ink, behind, size, weight in page.evaluate(COLLECT)
    ]


def colour(text: str) -> Colour:
    """Of `rgb(1, 2, 3)` or `rgba(1, 2, 3, 0.5)`."""
    parts = [float(part) for part in re.findall(r"[\d.]+", text)]
    assert text.startswith("rgb"), text
    return (parts[0], parts[1], parts[2], parts[3] if len(parts) > 3 else 1.0)


def background(behind: list[str]) -> Colour:
    """What is behind a text: colours from the nearest to the page's own, over white paper."""
    ground: Colour = (255.0, 255.0, 255.0, 1.0)
    for layer in reversed(behind):
        ground = over(colour(layer), ground)
    return ground


def over(top: Colour, ground: Colour) -> Colour:
    """One colour painted over an opaque one."""
    red, green, blue = (a * top[3] + b * (1 - top[3]) for a, b in zip(top[:3], ground[:3], strict=True))
    return (red, green, blue, 1.0)


def luminance(given: Colour) -> float:
    """Relative luminance of an opaque colour."""
    parts = [value / 255 for value in given[:3]]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ratio(one: Colour, other: Colour) -> float:
    """From 1 (the same) to 21 (black on white)."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)
