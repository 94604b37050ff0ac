"""Spoils a share of a file's lines, and counts the lines of each kind.

A feed passes its own kinds of dirt. The kinds that all feeds of JSON lines share are here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from random import Random

from medallion_jobs.generator.plan import FileOrder

Spoil = Callable[[str, Random, FileOrder], str]
"""Takes a clean line (no newline), random numbers and the file's order; returns the dirty line."""

DUPLICATE = "duplicate"


def spoil_lines(
    lines: list[str], rng: Random, order: FileOrder, kinds: Mapping[str, Spoil]
) -> dict[str, int]:
    """Spoils about `order.dirty` of the lines, in place; kinds are drawn evenly.

    `duplicate` is added to the given kinds: it repeats the nearest clean line above. If there is
    no clean line above, another kind is drawn instead.

    Returns:
        The number of lines of each kind, with `clean`; the values add up to all lines.
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
    """Removes one of these fields, drawn at random."""

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
