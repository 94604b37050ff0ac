"""A self-contained HTML page with the drawing of a graph, a title and a legend."""

from __future__ import annotations

from medallion_jobs.report.drawing.style import PAGE
from medallion_jobs.report.drawing.svg import svg, xml
from medallion_jobs.report.graph import Graph

_EDGES = {
    "rows": "reads its rows as a stream",
    "lookup": "looks up columns in it",
    "reference": "must have its key in it",
}


_OUTSIDE = (
    '<svg width="38" height="16" class="outside"><rect class="box" x="1" y="1" width="36" '
    'height="14" rx="3"/></svg>of another pipeline'
)


def page(drawn: Graph, *, subtitle: str) -> str:
    """One HTML file; it follows the reader's light or dark colours."""
    title = xml(f"The pipeline {drawn.pipeline}")
    ways = [way for way in _EDGES if any(edge.way == way for edge in drawn.edges)]
    legend = [_sample(way, text) for way, text in _EDGES.items() if way in ways]
    if any(node.outside for node in drawn.nodes):
        legend.append(_OUTSIDE)
    items = "\n".join(f"<li>{item}</li>" for item in legend)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{PAGE}</style>
</head>
<body>
<h1>{title}</h1>
<p>{xml(subtitle)}</p>
<div class="drawing">
{svg(drawn)}</div>
<ul class="legend">
{items}
</ul>
</body>
</html>
"""


def _sample(way: str, text: str) -> str:
    return (
        f'<svg width="38" height="16"><path class="{way}" marker-end="url(#{way}-head)" '
        f'd="M1 8H36"/></svg>{text}'
    )
