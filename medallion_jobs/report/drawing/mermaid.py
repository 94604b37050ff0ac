"""A graph as Mermaid, which many pages and editors draw."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from medallion_jobs.report.graph import HEADINGS, KINDS, Edge, Graph, Node

# What means something to Mermaid, or to the HTML that it makes, by its entity. Mermaid's own
# form, `#35;`, is not read everywhere in a chart.
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
    words = _words(drawn)
    lines = ["flowchart LR"]
    for kind in KINDS:
        nodes = [node for node in drawn.nodes if node.kind == kind]
        if nodes:
            lines.append(f'  subgraph layer_{kind}["{HEADINGS[kind]}"]')
            lines += [f"    {words[node.id]}{_label(node)}" for node in nodes]
            lines.append("  end")
    for edge in drawn.edges:
        lines.append(f"  {words[edge.source]} {_arrow(edge)} {words[edge.target]}")
    lines += [f"  {line}" for line in _classes(drawn, words)]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text as a label in quotes holds it."""
    line = (c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))
    return "".join(f"&{_ENTITIES[c]};" if c in _ENTITIES else c for c in line)


def _words(drawn: Graph) -> dict[str, str]:
    """Each node's word: none of Mermaid's own, for all begin with the layer, and no other's."""
    words: dict[str, str] = {}
    for node in drawn.nodes:
        word = re.sub(r"\W", "_", node.id, flags=re.ASCII)
        while word in words.values():
            word += "_"
        words[node.id] = word
    return words


def _label(node: Node) -> str:
    opening, closing = _BRACKETS.get(node.kind, ("[", "]"))
    lines = [f"<b>{escaped(node.name)}</b>", *map(escaped, (node.does, *node.lines, *node.facts))]
    return f'{opening}"{"<br/>".join(lines)}"{closing}'


def _arrow(edge: Edge) -> str:
    says = "<br/>".join(map(escaped, edge.says))
    return _ARROWS[edge.way] + (f'|"{says}"|' if says else "")


def _classes(drawn: Graph, words: Mapping[str, str]) -> Iterator[str]:
    members: dict[str, list[str]] = {
        kind: [words[node.id] for node in drawn.nodes if node.kind == kind] for kind in KINDS
    }
    members["layer"] = [f"layer_{kind}" for kind in KINDS if members[kind]]
    members["outside"] = [words[node.id] for node in drawn.nodes if node.outside]
    for name, of_class in members.items():
        if of_class:
            yield f"classDef {name} {_STYLES[name]}"
            yield f"class {','.join(of_class)} {name}"
