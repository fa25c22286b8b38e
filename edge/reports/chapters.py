"""What stands in a report, in its order: ids of definitions, whose titles and meanings are their own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """A few figures that belong together, and what a reader should know before looking at them."""

    name: str
    title: str
    words: str
    definitions: tuple[str, ...]


CHAPTERS = (
    Chapter(
        name="999",
        title="Emergency calls (999)",
        words="The national standard is that nine of ten are answered in under ten seconds. The clock here starts when a call "
        "reaches this room; what passes before, in the national exchange, is in BT's figures and not in these.",
        definitions=(
            "999-in-10",
            "999-under-10",
            "999-10-to-60",
            "999-60-and-over",
            "999-mean",
            "999-p90",
            "999-longest-waited",
            "999-abandonment",
            "999-time-to-abandon",
        ),
    ),
    Chapter(
        name="101",
        title="Non-emergency calls (101)",
        words="An average falls when callers give up: read it beside the share that gave up, and beside how long a caller had to "
        "be prepared to wait. Waits for the right desk add up every wait, the switchboard's included.",
        definitions=(
            "101-in-30",
            "101-in-60",
            "101-in-300",
            "101-mean",
            "101-mean-right-desk",
            "101-median",
            "101-p90",
            "101-p90-waited",
            "101-longest-waited",
            "101-abandonment",
            "101-abandonment-by-caller",
            "101-time-to-abandon",
        ),
    ),
    Chapter(
        name="ways",
        title="The same 101 calls, counted in other ways",
        words="Forces count a service level in different ways. All of these are of the same calls: whoever compares two forces "
        "has to compare one of them with the same one.",
        definitions=(
            "sl1-101-30",
            "sl2-101-30",
            "sl3-101-30",
            "sl4-101-30",
            "sl5-101-30",
            "sl5-base-101-30",
            "101-in-30-of-offered",
            "101-in-30-net",
            "101-in-30-without-callbacks",
            "101-abandonment-after-5",
            "101-abandonment-after-60",
        ),
    ),
    Chapter(
        name="volume",
        title="How many called, and what became of them",
        words="Every call ends in exactly one of these. Nobody is left out; what was not seen is counted as not seen.",
        definitions=(
            "offered",
            "answered",
            "abandoned",
            "unknown",
            "refused",
            "turned-away",
            "overflowed",
            "abandoned-in-transfer",
            "upgraded",
            "withheld",
        ),
    ),
    Chapter(
        name="callbacks",
        title="Call-backs",
        words="A caller who accepts one keeps their place and is rung when it comes. Kept means: talked with somebody within the "
        "time that they had been told.",
        definitions=(
            "callbacks-offered",
            "callbacks-promised",
            "callbacks-take-up",
            "callbacks-reached",
            "callbacks-reached-at-first",
            "callbacks-kept",
            "callbacks-unreached",
            "callbacks-attempts",
            "callbacks-promise-wait",
            "callbacks-promise-wait-p90",
            "callbacks-reconnect-wait",
        ),
    ),
    Chapter(
        name="people",
        title="Call handlers at work",
        words="For the room as a whole. A high occupancy is no achievement: who has no pause between calls makes mistakes.",
        definitions=("occupancy", "utilisation", "handling", "talk", "hold", "wrap-up", "handling-total"),
    ),
    Chapter(
        name="demand",
        title="Why they called, and how often",
        words="Calls that need not have been are work that better service elsewhere would save.",
        definitions=(
            "contacts",
            "calls-per-contact",
            "contacts-got-through",
            "contacts-later",
            "calling-again",
            "internal-demand",
            "failure-demand",
        ),
    ),
    Chapter(
        name="predictions",
        title="What callers were told to expect",
        words="Callers are told a range. An honest one holds for most of them and leans to neither side.",
        definitions=("prediction-inside", "prediction-error", "prediction-bias"),
    ),
)

TRENDS = (
    "999-in-10",
    "101-in-30",
    "101-mean",
    "101-p90-waited",
    "101-abandonment",
    "offered",
    "callbacks-promised",
    "callbacks-kept",
    "occupancy",
)
"""Drawn over time."""
BY_QUEUE = ("offered", "answered", "abandoned", "101-in-30", "101-mean", "101-p90-waited", "101-abandonment")
BY_LANGUAGE = ("offered", "101-in-30", "101-mean", "101-p90-waited", "101-abandonment")
OUTCOMES = (
    "999-in-10",
    "999-mean",
    "101-in-30",
    "101-mean",
    "101-p90-waited",
    "101-abandonment",
    "101-abandonment-by-caller",
    "contacts-got-through",
    "calling-again",
    "callbacks-kept",
    "offered",
)
"""Before and after a day on which something changed."""
