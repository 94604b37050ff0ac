"""A graph as a self-contained SVG, without scripts, fonts or network access."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

from medallion_jobs.report.drawing.layout import Box, Layout, Point, lay_out
from medallion_jobs.report.drawing.placing import Size
from medallion_jobs.report.drawing.style import DRAWING
from medallion_jobs.report.drawing.texts import fitted, width
from medallion_jobs.report.graph import HEADINGS, Edge, Graph, Node

NAME_SIZE, TEXT_SIZE = 13.0, 11.0
_NAME_ROW, _TEXT_ROW, _PAD, _SIDE = 20.0, 16.0, 9.0, 5.0
_NARROWEST, _WIDEST = 150.0, 310.0
_MARGIN, _BAND_PAD, _HEADING = 6.0, 16.0, 34.0
# Characters that XML 1.0 does not allow.
_NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Unescaped, these would end an attribute, or be read as blanks.
_REFERENCES = {'"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}


@dataclass(frozen=True)
class _Row:
    """A line of text in a box; `port` is the edge that enters next to it."""

    text: str
    style: str
    height: float = _TEXT_ROW
    size: float = TEXT_SIZE
    port: Edge | None = None
    ruled: bool = False

    @property
    def mono(self) -> bool:
        return self.style == "name"


def svg(drawn: Graph) -> str:
    """The drawing as one `<svg>` element."""
    rows = {node.id: _rows(node, drawn.edges) for node in drawn.nodes}
    plan = lay_out(drawn, {node: _size(of_node) for node, of_node in rows.items()})
    left, top = _MARGIN + _BAND_PAD, _MARGIN + _HEADING
    across = plan.width + 2 * left
    down = plan.height + top + _BAND_PAD + _MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{across:.0f}" height="{down:.0f}" '
            f'viewBox="0 0 {across:.1f} {down:.1f}" role="img">',
            f"<title>{xml(f'The pipeline {drawn.pipeline}')}</title>",
            f"<style>{DRAWING}</style>",
            _MARKERS,
            f'<g transform="translate({left:.1f} {top:.1f})">',
            *_bands(plan),
            *(_edge(edge, plan, drawn) for edge in plan.ways),
            *(_node(node, plan.boxes[node.id], rows[node.id]) for node in drawn.nodes),
            "</g>",
            "</svg>",
            "",
        ]
    )


def xml(text: str) -> str:
    """Text escaped for XML, also for attributes.

    A character that XML does not allow becomes a replacement character.
    """
    return escape(_NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text), _REFERENCES)


def _rows(node: Node, edges: Sequence[Edge]) -> list[_Row]:
    rows = [_Row(node.name, "name", _NAME_ROW, NAME_SIZE), _Row(node.does, "does")]
    rows += [_Row(line, "more") for line in node.lines]
    rows += [_Row(fact, "fact") for fact in node.facts]
    for edge in edges:
        if edge.target == node.id and edge.way != "rows":
            first, *more = edge.label
            rows.append(_Row(first, "label", port=edge, ruled=True))
            rows += [_Row(line, "label") for line in more]
    return rows


def _size(rows: list[_Row]) -> Size:
    texts = (width(" ".join(r.text.split()), r.size, mono=r.mono) for r in rows)
    across = min(max(_NARROWEST, *texts, 0.0) + 2 * _PAD + _SIDE, _WIDEST)
    ports = {row.port: y + row.height / 2 for row, y in _placed(rows) if row.port}
    last, y = list(_placed(rows))[-1]
    return Size(across, y + last.height + _PAD, _PAD + _NAME_ROW / 2, ports)


def _placed(rows: list[_Row]) -> Iterator[tuple[_Row, float]]:
    """Rows, each with the distance of its top from the box's top."""
    y = _PAD
    for row in rows:
        y += _PAD if row.ruled else 0.0
        yield row, y
        y += row.height


def _bands(plan: Layout) -> Iterator[str]:
    for kind, (left, right) in plan.columns.items():
        x, across = left - _BAND_PAD, right - left + 2 * _BAND_PAD
        yield (
            f'<rect class="band" x="{x:.1f}" y="{-_HEADING:.1f}" width="{across:.1f}" '
            f'height="{plan.height + _HEADING + _BAND_PAD:.1f}" rx="10"/>'
        )
        yield f'<text class="layer" x="{left:.1f}" y="-12">{HEADINGS[kind]}</text>'


def _node(node: Node, box: Box, rows: list[_Row]) -> str:
    classes = f"{node.kind} outside" if node.outside else node.kind
    tooltip = "\n".join(row.text for row in rows)
    room = box.width - 2 * _PAD - _SIDE
    x = box.x + _SIDE + _PAD
    parts = [
        f'<g class="{classes}"><title>{xml(tooltip)}</title>',
        f'<rect class="box" x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="5"/>',
        f'<rect class="side" x="{box.x:.1f}" y="{box.y:.1f}" width="{_SIDE}" '
        f'height="{box.height:.1f}" rx="2"/>',
    ]
    for row, below in _placed(rows):
        y = box.y + below
        if row.ruled:
            end = box.x + box.width
            rule = y - _PAD / 2
            parts.append(f'<path class="rule" d="M{x:.1f} {rule:.1f}H{end - _PAD:.1f}"/>')
        text = xml(fitted(row.text, room, row.size, mono=row.mono))
        base = y + row.height / 2 + row.size * 0.35
        parts.append(f'<text class="{row.style}" x="{x:.1f}" y="{base:.1f}">{text}</text>')
    return "\n".join([*parts, "</g>"])


def _edge(edge: Edge, plan: Layout, drawn: Graph) -> str:
    names = {node.id: node.name for node in drawn.nodes}
    tooltip = " ".join([names[edge.target], _VERBS[edge.way], names[edge.source], *edge.label])
    points = plan.ways[edge]
    way = _straight(points) if edge in plan.backward else _curved(points)
    return (
        f'<path class="{edge.way}" marker-end="url(#{edge.way}-head)" d="{way}">'
        f"<title>{xml(tooltip)}</title></path>"
    )


def _curved(points: tuple[Point, ...]) -> str:
    """A path with curves between columns, and straight lines across each column."""
    way = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for number, (start, end) in enumerate(pairwise(points)):
        middle = (start[0] + end[0]) / 2
        curve = f"C{middle:.1f} {start[1]:.1f} {middle:.1f} {end[1]:.1f} "
        way += (curve if number % 2 == 0 else "L") + f"{end[0]:.1f} {end[1]:.1f}"
    return way


def _straight(points: tuple[Point, ...]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


_VERBS = {"rows": "reads", "lookup": "looks into", "reference": "must have its key in"}
_MARKERS = """<defs>
<marker id="rows-head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path class="head-rows" d="M0 0.5L8 4L0 7.5z"/></marker>
<marker id="lookup-head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path class="head-lookup" d="M0 0.5L8 4L0 7.5z"/></marker>
<marker id="reference-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6"><circle class="head-reference" cx="4" cy="4" r="3.2"/></marker>
</defs>"""  # noqa: E501
