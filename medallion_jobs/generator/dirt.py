"""Spoils a share of a file's lines, and counts what it did.

A feed hands in its own kinds; what every feed of JSON lines has in common is here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from random import Random

from medallion_jobs.generator.plan import FileOrder

Spoil = Callable[[str, Random, FileOrder], str]
"""A clean line (no newline), random numbers, the file's order → the spoiled line."""

DUPLICATE = "duplicate"


def spoil_lines(
    lines: list[str], rng: Random, order: FileOrder, kinds: Mapping[str, Spoil]
) -> dict[str, int]:
    """Spoils about `order.dirty` of the lines, in place; kinds are drawn evenly.

    `duplicate` comes on top of the kinds given: the nearest clean line above, once more. Where
    no clean line is above, another kind is drawn instead.

    Returns:
        Lines of each kind, `clean` included: the values add up to the lines given.
    """
    names = (*kinds, DUPLICATE)
    counts = dict.fromkeys(("clean", *names), 0)
    share = order.dirty
    draw = rng.random
    spoiled = [index for index in range(len(lines)) if draw() < share] if share else []
    last_clean: str | None = None
    last_spoiled = -1
    for index in spoiled:
        if index - 1 > last_spoiled:
            last_clean = lines[index - 1]
        last_spoiled = index
        kind = rng.choice(names if last_clean is not None else names[:-1])
        counts[kind] += 1
        if kind in kinds:
            lines[index] = kinds[kind](lines[index], rng, order)
        elif last_clean is not None:
            lines[index] = last_clean
    counts["clean"] = len(lines) - len(spoiled)
    return counts


def with_fields(line: str, **fields: object) -> str:
    """The line with some fields set to other values, in the same order."""
    return json.dumps({**json.loads(line), **fields})


def without_one_of(fields: Sequence[str]) -> Spoil:
    """Takes away one of these fields."""

    def spoil(line: str, rng: Random, order: FileOrder) -> str:  # noqa: ARG001
        row = json.loads(line)
        del row[rng.choice(fields)]
        return json.dumps(row)

    return spoil


def broken_line(line: str, rng: Random, order: FileOrder) -> str:  # noqa: ARG001
    """A line that is not one JSON object, in the ways that lines really break."""
    breakages: tuple[Callable[[], str], ...] = (
        lambda: line[: rng.randrange(1, len(line))],
        lambda: "ERROR upstream timed out, retrying",
        lambda: f"[{line}]",
        lambda: f"{line} {line}",
        lambda: line + rng.choice((",", "}", " <EOF>")),
        lambda: str(rng.randrange(1_000_000)),
        lambda: '"order"',
        lambda: "null",
    )
    return rng.choice(breakages)()
