"""The layout of a graph: positions of nodes and edges, in columns from left to right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from medallion_jobs.report.drawing.placing import GAP_Y, SLOT, Plan, Size
from medallion_jobs.report.graph import KINDS, Edge, Graph, Kind

GAP_X = 76.0

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """The position and size of a node."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """Positions in a drawing whose upper left corner is at 0, 0.

    Attributes:
        boxes: by the node's id.
        ways: by edge, the points that it passes: from box through columns to box.
        columns: by layer, its left and right border.
        backward: edges that run from right to left, below all boxes.
    """

    boxes: Mapping[str, Box]
    ways: Mapping[Edge, tuple[Point, ...]]
    columns: Mapping[Kind, tuple[float, float]]
    backward: frozenset[Edge]
    width: float
    height: float


def lay_out(drawn: Graph, sizes: Mapping[str, Size]) -> Layout:
    """The layout for boxes of these sizes."""
    plan = Plan(drawn, sizes)
    plan.order()
    plan.heights()
    lefts, widths = _across(plan)
    boxes = {
        name: Box(lefts[at], item.y, widths[at], item.height)
        for name, item in plan.items.items()
        for at in [plan.column_of[name]]
    }
    bottom = max((box.y + box.height for box in boxes.values()), default=0.0)
    ways = {edge: tuple(_way(plan, edge, lefts, widths, boxes)) for edge in plan.slots}
    for lane, edge in enumerate(sorted(plan.backward, key=drawn.edges.index)):
        ways[edge] = tuple(_way_back(plan, edge, boxes, bottom + GAP_Y + lane * SLOT))
    return Layout(
        boxes=boxes,
        ways=ways,
        columns=_layers(plan, lefts, widths),
        backward=plan.backward,
        width=(lefts[-1] + widths[-1]) if lefts else 0.0,
        height=bottom + (GAP_Y + SLOT * len(plan.backward) if plan.backward else 0.0),
    )


def _across(plan: Plan) -> tuple[list[float], list[float]]:
    widths = [
        max(plan.sizes[item.node].width for item in column if item.node) for column in plan.columns
    ]
    lefts = [sum(widths[:number]) + number * GAP_X for number in range(len(widths))]
    return lefts, widths


def _way(
    plan: Plan, edge: Edge, lefts: list[float], widths: list[float], boxes: Mapping[str, Box]
) -> Iterator[Point]:
    start, end = boxes[edge.source], boxes[edge.target]
    yield start.x + start.width, plan.items[edge.source].middle
    for number, slot in enumerate(plan.slots[edge], plan.column_of[edge.source] + 1):
        yield lefts[number], slot.middle
        yield lefts[number] + widths[number], slot.middle
    yield end.x, end.y + plan.port(edge)


def _way_back(plan: Plan, edge: Edge, boxes: Mapping[str, Box], lane: float) -> Iterator[Point]:
    start, end = boxes[edge.source], boxes[edge.target]
    right, left = start.x + start.width, end.x
    out, back = plan.items[edge.source].middle, end.y + plan.port(edge)
    near = GAP_X / 4
    yield from ((right, out), (right + near, out), (right + near, lane))
    yield from ((left - near, lane), (left - near, back), (left, back))


def _layers(plan: Plan, lefts: list[float], widths: list[float]) -> dict[Kind, tuple[float, float]]:
    found: dict[Kind, tuple[float, float]] = {}
    for node in plan.drawn.nodes:
        kind: Kind = "silver" if node.outside else node.kind
        at = plan.column_of[node.id]
        left, right = found.get(kind, (lefts[at], lefts[at] + widths[at]))
        found[kind] = min(left, lefts[at]), max(right, lefts[at] + widths[at])
    return {kind: found[kind] for kind in KINDS if kind in found}
