"""The column and the vertical position of each node in a drawing.

A small Sugiyama layout: columns by layer and depth, the order within a column by barycentres,
vertical positions by the mean of the neighbours. An edge across several columns has a slot in
each of them, so that it runs between the boxes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from medallion_jobs.report.graph import KINDS, Edge, Graph

GAP_Y, SLOT = 22.0, 14.0
_SWEEPS_FOR_ORDER, _SWEEPS_FOR_HEIGHT = 24, 80


@dataclass(frozen=True)
class Size:
    """The size of a node's box, and where edges meet it.

    Attributes:
        anchor: distance from the top at which edges of rows enter and leave.
        ports: distance from the top at which each other edge enters.
    """

    width: float
    height: float
    anchor: float
    ports: Mapping[Edge, float] = field(default_factory=dict)


@dataclass
class Item:
    """An item of a column: a node, or the slot of an edge that passes through."""

    height: float
    anchor: float
    node: str | None = None
    y: float = 0.0

    @property
    def middle(self) -> float:
        return self.y + self.anchor


@dataclass(frozen=True)
class _Link:
    """A part of an edge, from one column to the next.

    Attributes:
        port: distance from the top of the right item at which it enters.
        rows: whether the edge carries rows; these edges should be straight.
    """

    left: Item
    right: Item
    port: float
    rows: bool


class Plan:
    """Columns of items and the links between them."""

    def __init__(self, drawn: Graph, sizes: Mapping[str, Size]) -> None:
        self.drawn, self.sizes = drawn, sizes
        self.column_of = columns(drawn)
        count = 1 + max(self.column_of.values(), default=-1)
        self.columns: list[list[Item]] = [[] for _ in range(count)]
        self.items: dict[str, Item] = {}
        for node in drawn.nodes:
            size = sizes[node.id]
            item = Item(size.height, size.anchor, node.id)
            self.items[node.id] = item
            self.columns[self.column_of[node.id]].append(item)
        self.backward = frozenset(
            edge
            for edge in drawn.edges
            if self.column_of[edge.source] >= self.column_of[edge.target]
        )
        self.slots: dict[Edge, list[Item]] = {}
        self.links: list[_Link] = []
        for edge in drawn.edges:
            if edge not in self.backward:
                self._lay(edge)
        self._links_of: dict[int, list[_Link]] = defaultdict(list)
        for link in self.links:
            self._links_of[id(link.left)].append(link)
            self._links_of[id(link.right)].append(link)

    def _lay(self, edge: Edge) -> None:
        between = range(self.column_of[edge.source] + 1, self.column_of[edge.target])
        slots = [Item(SLOT, SLOT / 2) for _ in between]
        for place, slot in zip(between, slots, strict=True):
            self.columns[place].append(slot)
        self.slots[edge] = slots
        chain = [self.items[edge.source], *slots, self.items[edge.target]]
        for left, right in pairwise(chain):
            port = self.port(edge) if right is chain[-1] else right.anchor
            self.links.append(_Link(left, right, port, edge.way == "rows"))

    def port(self, edge: Edge) -> float:
        """Distance from the top of its target at which an edge enters."""
        size = self.sizes[edge.target]
        return size.ports.get(edge, size.anchor)

    def order(self) -> None:
        """Sorts the items of each column so that few edges cross."""
        best, fewest = [list(column) for column in self.columns], self._crossings()
        for sweep in range(_SWEEPS_FOR_ORDER):
            self._sort_by_neighbours(rightwards=sweep % 2 == 0)
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(column) for column in self.columns], crossings
        self.columns = best

    def _sort_by_neighbours(self, *, rightwards: bool) -> None:
        near: dict[int, list[float]] = defaultdict(list)
        ordered = self.columns if rightwards else self.columns[::-1]
        for column in ordered:
            centre = {
                id(item): sum(near[id(item)]) / len(near[id(item)]) if near[id(item)] else place
                for place, item in enumerate(column)
            }
            column.sort(key=lambda item: centre[id(item)])
            places = {id(item): place for place, item in enumerate(column)}
            for link in self.links:
                fixed, moved = (link.left, link.right) if rightwards else (link.right, link.left)
                if id(fixed) in places:
                    into = link.port / max(link.right.height, 1.0) if not rightwards else 0.0
                    near[id(moved)].append(places[id(fixed)] + into)

    def _crossings(self) -> int:
        places = {id(item): place for column in self.columns for place, item in enumerate(column)}
        gaps: dict[int, list[tuple[float, float]]] = defaultdict(list)
        where = {id(item): number for number, column in enumerate(self.columns) for item in column}
        for link in self.links:
            end = places[id(link.right)] + link.port / max(link.right.height + 1.0, 1.0)
            gaps[where[id(link.left)]].append((places[id(link.left)], end))
        return sum(
            (a[0] - b[0]) * (a[1] - b[1]) < 0
            for ends in gaps.values()
            for number, a in enumerate(ends)
            for b in ends[:number]
        )

    def heights(self) -> None:
        """Moves each item close to the items it is linked to, as far as the order allows."""
        for column in self.columns:
            y = 0.0
            for item in column:
                item.y, y = y, y + item.height + GAP_Y
        for sweep in range(_SWEEPS_FOR_HEIGHT):
            ordered = self.columns if sweep % 2 == 0 else self.columns[::-1]
            for column in ordered:
                self._settle(column)
        top = min((item.y for column in self.columns for item in column), default=0.0)
        for column in self.columns:
            for item in column:
                item.y -= top

    def _settle(self, column: list[Item]) -> None:
        wishes = [self._wishes(item) for item in column]
        tops = [_mean(wish) if wish else item.y for item, wish in zip(column, wishes, strict=True)]
        needs = [item.height + GAP_Y for item in column]
        weights = [len(wish) or 0.1 for wish in wishes]
        for item, y in zip(column, spread(tops, needs, weights), strict=True):
            item.y = y

    def _wishes(self, item: Item) -> list[float]:
        """The positions of the item's top at which each of its links would be straight."""
        wishes: dict[bool, list[float]] = {True: [], False: []}
        for link in self._links_of[id(item)]:
            if link.right is item:
                wishes[link.rows].append(link.left.middle - link.port)
            else:
                wishes[link.rows].append(link.right.y + link.port - item.anchor)
        return wishes[True] or wishes[False]


def columns(drawn: Graph) -> dict[str, int]:
    """Each node's column: by its layer, and within silver by its depth in the graph."""
    kinds = {node.id: node.kind for node in drawn.nodes}
    outside = {node.id for node in drawn.nodes if node.outside}
    before: dict[str, list[str]] = defaultdict(list)
    for edge in drawn.edges:
        if kinds[edge.target] == "silver" and (
            kinds[edge.source] == "silver" or edge.source in outside
        ):
            before[edge.target].append(edge.source)

    def depth(node: str) -> int:
        return 1 + max(map(depth, before[node])) if before[node] else 0

    ranks = {
        node.id: (KINDS.index("silver" if node.outside else node.kind), depth(node.id))
        for node in drawn.nodes
    }
    places = {rank: place for place, rank in enumerate(sorted(set(ranks.values())))}
    return {node: places[rank] for node, rank in ranks.items()}


def spread(
    wishes: Sequence[float], needs: Sequence[float], weights: Sequence[float]
) -> list[float]:
    """Positions close to the wished ones, in their order, without overlaps.

    A least-squares fit: neighbours that would overlap are moved together.

    Args:
        wishes: the wished positions.
        needs: the room that each item takes.
        weights: how much each wish counts.
    """
    before = [sum(needs[:number]) for number in range(len(needs))]
    blocks: list[tuple[float, float, int]] = []
    for wish, weight, offset in zip(wishes, weights, before, strict=True):
        mean, heavy, count = wish - offset, weight, 1
        while blocks and blocks[-1][0] >= mean:
            other, other_weight, other_count = blocks.pop()
            mean = (mean * heavy + other * other_weight) / (heavy + other_weight)
            heavy, count = heavy + other_weight, count + other_count
        blocks.append((mean, heavy, count))
    shifted = [mean for mean, _, count in blocks for _ in range(count)]
    return [place + offset for place, offset in zip(shifted, before, strict=True)]


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)
