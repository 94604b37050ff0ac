"""A graph as a Mermaid flowchart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from medallion_jobs.report.graph import HEADINGS, KINDS, Edge, Graph, Node

# Characters with a meaning in Mermaid or in its HTML, and their entities. Mermaid's own form,
# `#35;`, does not work everywhere in a chart.
_ENTITIES = {
    '"': "quot",
    "#": "num",
    "%": "percnt",
    "&": "amp",
    "<": "lt",
    ">": "gt",
    "[": "lbrack",
    "\\": "bsol",
    "]": "rbrack",
    "`": "grave",
    "{": "lbrace",
    "|": "vert",
    "}": "rbrace",
}
_BRACKETS = {"landing": ("[/", "/]"), "sink": ("[(", ")]")}
_ARROWS = {"rows": "-->", "lookup": "-.->", "reference": "-.-o"}
_STYLES = {
    "landing": "fill:#e8eef7,stroke:#5a7fb0,color:#1f2933",
    "bronze": "fill:#f7ece4,stroke:#a9673b,color:#1f2933",
    "silver": "fill:#eef1f4,stroke:#7b8794,color:#1f2933",
    "gold": "fill:#fbf3d9,stroke:#b78a0e,color:#1f2933",
    "sink": "fill:#e4f2ee,stroke:#3d8b76,color:#1f2933",
    "outside": "stroke-dasharray:4 3",
    "layer": "fill:none,stroke:#9aa5b1",
}


def mermaid(drawn: Graph) -> str:
    """A flowchart from left to right, with a box for each layer."""
    ids = _mermaid_ids(drawn)
    lines = ["flowchart LR"]
    for kind in KINDS:
        nodes = [node for node in drawn.nodes if node.kind == kind]
        if nodes:
            lines.append(f'  subgraph layer_{kind}["{HEADINGS[kind]}"]')
            lines += [f"    {ids[node.id]}{_label(node)}" for node in nodes]
            lines.append("  end")
    for edge in drawn.edges:
        lines.append(f"  {ids[edge.source]} {_arrow(edge)} {ids[edge.target]}")
    lines += [f"  {line}" for line in _classes(drawn, ids)]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text for a quoted label."""
    line = (c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))
    return "".join(f"&{_ENTITIES[c]};" if c in _ENTITIES else c for c in line)


def _mermaid_ids(drawn: Graph) -> dict[str, str]:
    """A unique Mermaid id for each node; none is a keyword, since all begin with the layer."""
    ids: dict[str, str] = {}
    for node in drawn.nodes:
        mermaid_id = re.sub(r"\W", "_", node.id, flags=re.ASCII)
        while mermaid_id in ids.values():
            mermaid_id += "_"
        ids[node.id] = mermaid_id
    return ids


def _label(node: Node) -> str:
    opening, closing = _BRACKETS.get(node.kind, ("[", "]"))
    lines = [f"<b>{escaped(node.name)}</b>", *map(escaped, (node.does, *node.lines, *node.facts))]
    return f'{opening}"{"<br/>".join(lines)}"{closing}'


def _arrow(edge: Edge) -> str:
    label = "<br/>".join(map(escaped, edge.label))
    return _ARROWS[edge.way] + (f'|"{label}"|' if label else "")


def _classes(drawn: Graph, ids: Mapping[str, str]) -> Iterator[str]:
    members: dict[str, list[str]] = {
        kind: [ids[node.id] for node in drawn.nodes if node.kind == kind] for kind in KINDS
    }
    members["layer"] = [f"layer_{kind}" for kind in KINDS if members[kind]]
    members["outside"] = [ids[node.id] for node in drawn.nodes if node.outside]
    for name, of_class in members.items():
        if of_class:
            yield f"classDef {name} {_STYLES[name]}"
            yield f"class {','.join(of_class)} {name}"
