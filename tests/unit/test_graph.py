"""A pipeline drawn from its config: the graph, Mermaid, the SVG and the page."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
from deletion_vectors import take_away
from hypothesis import example, given
from hypothesis import strategies as st
from lakes import BRONZE, GOLD, SILVER, Lake, Medallion, write_table

from medallion_jobs.config import Pipeline, load
from medallion_jobs.report.drawing.layout import Box, Layout, lay_out
from medallion_jobs.report.drawing.mermaid import escaped, mermaid
from medallion_jobs.report.drawing.page import page
from medallion_jobs.report.drawing.placing import Size, columns, spread
from medallion_jobs.report.drawing.svg import svg, xml
from medallion_jobs.report.drawing.texts import fitted, width
from medallion_jobs.report.graph import Edge, Graph, Node, graph

CONF = Path(__file__).parents[2] / "conf"
SHIPPED = sorted(file for file in CONF.glob("*.yaml") if file.stem != "base")

MINUTE = {
    "pipeline": "shop",
    "landing": {"root": "/landing"},
    "bronze": {
        "orders": {"source": {"format": "json", "schema": "id bigint, c bigint, ts timestamp"}},
        "customers": {"source": {"format": "csv", "path": ["/in/a", "s3a://KEY:pw@bucket/b"]}},
    },
    "silver": {
        "customers": {
            "from": "bronze.customers",
            "write": "upsert",
            "keys": "c",
            "sequence": "at",
        },
        "orders": {
            "from": "bronze.orders",
            "lookups": [
                {"table": "silver.customers", "on": "c", "take": ["name"], "on_miss": "hold"},
                {"table": "gold.rates", "on": {"day": "to_date(ts)"}, "take": ["rate"]},
                {"table": "gold.per_customer", "on": "c", "take": ["n"], "how": "inner"},
            ],
            "expect": {"known": {"references": {"table": "silver.customers", "on": "c"}}},
            "dedupe": {"keys": ["id"]},
        },
    },
    "gold": {
        "per_customer": {
            "from": "silver.orders",
            "group_by": ["c"],
            "period": {"of": "ts", "by": "day"},
            "measures": {"n": "count(*)", "last": "max(ts)"},
            "columns": {"many": "n > 9"},
            "mode": "incremental",
            "sinks": [{"jdbc": {"url": "jdbc:postgresql://h/db", "schema": "mart"}}],
        }
    },
}


def shop() -> Graph:
    return graph(Pipeline.model_validate(MINUTE))


def test_the_graph_of_a_config() -> None:
    drawn = shop()
    said = [(n.id, n.kind, n.name, n.does, n.lines) for n in drawn.nodes if not n.outside]
    assert said == [
        ("landing.orders.0", "landing", "/landing/orders", "json files", ()),
        ("landing.customers.0", "landing", "/in/a", "csv files", ()),
        ("landing.customers.1", "landing", "s3a://bucket/b", "csv files", ()),
        ("bronze.orders", "bronze", "bronze.orders", "append", ()),
        ("bronze.customers", "bronze", "bronze.customers", "append", ("add new columns",)),
        ("silver.customers", "silver", "silver.customers", "upsert by c", ()),
        ("silver.orders", "silver", "silver.orders", "append", ("one row for each id", "1 rule")),
        (
            "gold.per_customer",
            "gold",
            "gold.per_customer",
            "incremental",
            ("by c, day", "n, last, many"),
        ),
        ("sink.per_customer.warehouse", "sink", "mart.per_customer", "warehouse, postgresql", ()),
    ]
    assert [n.id for n in drawn.nodes if n.outside] == ["gold.rates"]
    assert set(drawn.edges) == {
        Edge("landing.orders.0", "bronze.orders"),
        Edge("landing.customers.0", "bronze.customers"),
        Edge("landing.customers.1", "bronze.customers"),
        Edge("bronze.customers", "silver.customers"),
        Edge("bronze.orders", "silver.orders"),
        Edge(
            "silver.customers", "silver.orders", "lookup", ("on c", "on miss: hold 7d, then null")
        ),
        Edge("gold.rates", "silver.orders", "lookup", ("on day = to_date(ts)", "on miss: null")),
        Edge("gold.per_customer", "silver.orders", "lookup", ("on c", "on miss: left out")),
        Edge("silver.customers", "silver.orders", "reference", ("on c", "else: warn")),
        Edge("silver.orders", "gold.per_customer", label=("its changes",)),
        Edge("gold.per_customer", "sink.per_customer.warehouse"),
    }


def test_what_came_from_the_environment_is_not_drawn(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        "pipeline: p\n"
        "bronze: {a: {source: {format: json, path: '${env:WHERE}'}}}\n"
        "silver: {a: {from: bronze.a, lookups: [{table: silver.d, on: {k: '${env:HOW}'}, "
        "take: [x]}]}}\n"
    )
    config = load(file, environ={"WHERE": "/vault/7351", "HOW": "k + 7351"}).pipeline
    for drawing in (mermaid(graph(config)), svg(graph(config))):
        assert "7351" not in drawing
        assert "***" in drawing


# Mermaid.


def test_a_small_chart() -> None:
    nodes = (
        Node("landing.a.0", "landing", "in/a", "json files"),
        Node("bronze.a", "bronze", "bronze.a", "append"),
        Node("silver.d", "silver", "silver.d", "of another pipeline", outside=True),
        Node("silver.a", "silver", "silver.a", "append", ("2 rules",)),
    )
    edges = (
        Edge("landing.a.0", "bronze.a"),
        Edge("bronze.a", "silver.a"),
        Edge("silver.d", "silver.a", "lookup", ('on "k"', "on miss: null")),
    )
    drawn = mermaid(Graph("p", nodes, edges))
    assert drawn.partition("  classDef")[0] == (
        "flowchart LR\n"
        '  subgraph layer_landing["landing"]\n'
        '    landing_a_0[/"<b>in/a</b><br/>json files"/]\n'
        "  end\n"
        '  subgraph layer_bronze["bronze"]\n'
        '    bronze_a["<b>bronze.a</b><br/>append"]\n'
        "  end\n"
        '  subgraph layer_silver["silver"]\n'
        '    silver_d["<b>silver.d</b><br/>of another pipeline"]\n'
        '    silver_a["<b>silver.a</b><br/>append<br/>2 rules"]\n'
        "  end\n"
        "  landing_a_0 --> bronze_a\n"
        "  bronze_a --> silver_a\n"
        '  silver_d -.->|"on &quot;k&quot;<br/>on miss: null"| silver_a\n'
    )
    assert "  class silver_d outside\n" in drawn


_ID = r"(?:landing|bronze|silver|gold|sink|layer)_\w+"
_LABEL = r'"(?:[^"#&<>`\[\]{}|\\]|&[a-z]+;|</?b>|<br/>)*"'
_LINES = re.compile(
    rf"""flowchart\ LR
    |\ \ subgraph\ {_ID}\["\w+"\]
    |\ \ \ \ {_ID}(?:\[{_LABEL}\]|\[/{_LABEL}/\]|\[\({_LABEL}\)\])
    |\ \ end
    |\ \ {_ID}\ (?:-->|-\.->|-\.-o)(?:\|{_LABEL}\|)?\ {_ID}
    |\ \ classDef\ \w+\ [\w#:,\ -]+
    |\ \ class\ {_ID}(?:,{_ID})*\ \w+""",
    re.VERBOSE,
)


def assert_is_mermaid(drawing: str) -> None:
    for line in drawing.split("\n")[:-1]:
        assert _LINES.fullmatch(line), line


@given(st.text())
def test_a_label_keeps_its_text_and_none_of_mermaids_signs(text: str) -> None:
    label = escaped(text)
    assert re.fullmatch(_LABEL, f'"{label}"')
    assert "\n" not in label
    plain = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))
    assert html.unescape(label) == plain


def test_two_names_that_look_alike_in_mermaid_stay_two() -> None:
    nodes = tuple(Node(f"sink.{name}", "sink", name, "") for name in ("a_b.c", "a.b_c"))
    drawn = mermaid(Graph("p", nodes, (Edge(nodes[0].id, nodes[1].id),)))
    assert "sink_a_b_c --> sink_a_b_c_" in drawn


def test_the_charts_of_the_docs_are_those_that_are_drawn() -> None:
    """Update them with: medallion graph, medallion graph --out docs/sales.svg"""
    sales = graph(load(CONF / "sales.yaml", environ={}).pipeline)
    assert (CONF / "../docs/sales.svg").read_text(encoding="utf-8") == svg(sales)
    chart = re.search(r"```mermaid\n(.*?)```", (CONF / "../docs/graph.md").read_text(), re.DOTALL)
    assert chart
    assert chart[1] == mermaid(sales)


# The SVG and the page.


SVG = "{http://www.w3.org/2000/svg}"


def boxes_of(drawing: str) -> list[tuple[float, float, float, float]]:
    found = ET.fromstring(drawing).iter(f"{SVG}rect")
    return [
        tuple(float(rect.attrib[key]) for key in ("x", "y", "width", "height"))  # type: ignore[misc]
        for rect in found
        if rect.attrib["class"] == "box"
    ]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_every_pipeline_that_is_shipped_is_drawn(file: Path) -> None:
    drawn = graph(load(file, environ={"WAREHOUSE_PASSWORD": "not asked for"}).pipeline)
    assert_is_mermaid(mermaid(drawn))
    drawing = svg(drawn)
    assert len(boxes_of(drawing)) == len(drawn.nodes)
    texts = [text.text or "" for text in ET.fromstring(drawing).iter(f"{SVG}text")]
    cut = tuple(text.removesuffix("…") for text in texts if text.endswith("…"))
    assert all(node.name in texts or node.name.startswith(cut) for node in drawn.nodes)


def test_text_stays_within_its_box_and_is_told_whole_on_hovering() -> None:
    long = "silver." + "very_long_name_" * 20
    node = Node("silver.a", "silver", long, "upsert by " + "k, " * 100, ("W" * 99, "日本" * 99))
    group = next(ET.fromstring(svg(Graph("p", (node,), ()))).iter(f"{SVG}g"))[-1]
    [(x, y, across, down)] = boxes_of(svg(Graph("p", (node,), ())))
    for text in group.findall(f"{SVG}text"):
        size, mono = (13.0, True) if text.attrib["class"] == "name" else (11.0, False)
        assert text.text
        left, base = float(text.attrib["x"]), float(text.attrib["y"])
        assert x < left < left + width(text.text, size, mono=mono) <= x + across
        assert y < base - size * 0.8 < base < y + down
        assert text.text.endswith("…")
    told = group.findtext(f"{SVG}title")
    assert told
    assert long in told


@given(st.text(), st.floats(10, 500), st.booleans())
def test_a_cut_text_fits(text: str, room: float, mono: bool) -> None:
    cut = fitted(text, room, 11.0, mono=mono)
    line = " ".join(text.split())
    assert cut == line or (cut.endswith("…") and line.startswith(cut[:-1]))
    assert cut == "…" or width(cut, 11.0, mono=mono) <= room
    assert cut == line or width(line, 11.0, mono=mono) > room


@given(st.text())
@example("\t\r\n\"'<&>]]>")
def test_any_text_is_well_formed_in_xml(text: str) -> None:
    node = Node("silver.a", "silver", text, text, (text,), (text,))
    edge = Edge("silver.a", "silver.b", "lookup", (text, text))
    drawn = Graph(text, (node, Node("silver.b", "silver", "b", "")), (edge,))
    ET.fromstring(svg(drawn))
    seen = ET.fromstring(f'<a b="{xml(text)}"/>').attrib["b"]
    assert seen == re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)
    shown = page(drawn, subtitle=text)
    assert "<script" not in shown.lower()


def test_the_page_needs_nothing_from_elsewhere() -> None:
    drawn = graph(load(CONF / "iot_sales.yaml", environ={}).pipeline)
    shown = page(drawn, subtitle="11 tables")
    assert "default-src 'none'" in shown
    addresses = set(re.findall(r"https?://[^\"' )]+|url\([^)]*\)|src=|href=|@import", shown))
    assert addresses == {
        "http://www.w3.org/2000/svg",
        *(f"url(#{way}-head)" for way in ("rows", "lookup", "reference")),
    }
    for words in ("The pipeline iot_sales", "11 tables", "looks up columns", "must have its key"):
        assert words in shown
    assert "of another pipeline" not in shown
    assert "prefers-color-scheme: dark" in shown


# Where things are drawn.


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Graphs as configs have them, lookups of gold among them."""
    counts = {kind: draw(st.integers(0 if kind == "sink" else 1, 5)) for kind in _LAYERS}
    nodes = [Node(f"{k}.{i}", k, f"{k}.{i}", "") for k, n in counts.items() for i in range(n)]
    ids = {kind: [node.id for node in nodes if node.kind == kind] for kind in counts}
    edges = []
    for source, target in pairwise(_LAYERS):
        edges += [Edge(draw(st.sampled_from(ids[source])), there) for there in ids[target]]
    for number, here in enumerate(ids["silver"]):
        into = ids["silver"][:number] + ids["gold"] + ids["bronze"]
        for other in draw(st.lists(st.sampled_from(into), max_size=3, unique=True)):
            edges.append(Edge(other, here, draw(st.sampled_from(["lookup", "reference"])), ("k",)))
    return Graph("p", tuple(nodes), tuple(edges))


_LAYERS: tuple[Any, ...] = ("landing", "bronze", "silver", "gold", "sink")


def planned(drawn: Graph) -> Layout:
    sizes = {}
    for place, node in enumerate(drawn.nodes):
        into = [edge for edge in drawn.edges if edge.target == node.id and edge.way != "rows"]
        ports = {edge: 50.0 + 30 * number for number, edge in enumerate(into)}
        sizes[node.id] = Size(150.0 + 10 * (place % 7), 40.0 + 30 * len(ports), 18.0, ports)
    return lay_out(drawn, sizes)


@given(graphs())
def test_boxes_lie_apart_and_edges_run_between_them(drawn: Graph) -> None:
    plan = planned(drawn)
    assert plan.boxes.keys() == {node.id for node in drawn.nodes}
    for box in plan.boxes.values():
        assert 0 <= box.x <= box.x + box.width <= plan.width + 0.01
        assert -0.01 <= box.y <= box.y + box.height <= plan.height + 0.01
    for one, other in combinations(plan.boxes.values(), 2):
        assert apart(one, other)
    assert plan.ways.keys() == set(drawn.edges)
    for edge, points in plan.ways.items():
        ends = plan.boxes[edge.source], plan.boxes[edge.target]
        assert points[0][0] == ends[0].x + ends[0].width
        assert points[-1][0] == ends[1].x
        assert ends[1].y < points[-1][1] < ends[1].y + ends[1].height
        for point in along(points):
            assert not any(inside(point, box) for box in plan.boxes.values()), edge


def apart(one: Box, other: Box) -> bool:
    beside = one.x + one.width <= other.x or other.x + other.width <= one.x
    return beside or one.y + one.height <= other.y or other.y + other.height <= one.y


def along(points: tuple[tuple[float, float], ...]) -> Iterator[tuple[float, float]]:
    """Points of the way. A curve's height stays between those of its ends, so a line will do."""
    for (x, y), (to_x, to_y) in pairwise(points):
        yield from ((x + (to_x - x) * i / 10, y + (to_y - y) * i / 10) for i in range(11))


def inside(point: tuple[float, float], box: Box) -> bool:
    return (
        box.x + 0.1 < point[0] < box.x + box.width - 0.1
        and box.y + 0.1 < point[1] < box.y + box.height - 0.1
    )


def test_columns_go_by_layer_and_depth() -> None:
    assert columns(shop()) == {
        "landing.orders.0": 0,
        "landing.customers.0": 0,
        "landing.customers.1": 0,
        "bronze.orders": 1,
        "bronze.customers": 1,
        "gold.rates": 2,
        "silver.customers": 2,
        "silver.orders": 3,
        "gold.per_customer": 4,
        "sink.per_customer.warehouse": 5,
    }


def test_a_chain_is_a_straight_line_and_lanes_do_not_cross() -> None:
    names = [(kind, i) for kind in _LAYERS for i in range(4)]
    nodes = tuple(Node(f"{kind}.{i}", kind, "", "") for kind, i in names)
    # Declared in another order in each layer.
    lanes = [Edge(f"{a}.{i}", f"{b}.{3 - i}") for a, b in pairwise(_LAYERS) for i in range(4)]
    plan = planned(Graph("p", nodes, tuple(lanes)))
    assert all(
        points[0][1] == pytest.approx(points[-1][1], abs=0.5) for points in plan.ways.values()
    )


@given(st.lists(st.tuples(st.floats(-500, 500), st.floats(1, 90), st.floats(0.1, 9)), max_size=9))
def test_what_is_spread_keeps_its_order_and_its_room(
    items: list[tuple[float, float, float]],
) -> None:
    wishes, needs, weights = ([item[i] for item in items] for i in range(3))
    places = spread(wishes, needs, weights)
    for number, (here, there) in enumerate(pairwise(places)):
        assert there - here >= needs[number] - 1e-6
    if all(b - a >= need for (a, b), need in zip(pairwise(wishes), needs, strict=False)):
        assert places == pytest.approx(wishes)


# The command.


def test_the_command_draws_what_the_files_name_says(medallion: Medallion, tmp_path: Path) -> None:
    told = medallion("graph")
    assert (told.code, told.err) == (0, "")
    assert_is_mermaid(told.out)
    for name, start in (("a.svg", "<svg "), ("a.html", "<!DOCTYPE html>"), ("a.mmd", "flowchart")):
        told = medallion("graph", "--out", str(tmp_path / name))
        assert (told.code, told.out, told.err) == (0, "", "")
        assert (tmp_path / name).read_text().startswith(start)
    assert medallion("graph", "--format", "svg").out == (tmp_path / "a.svg").read_text()
    assert medallion("graph", "--format", "png").code == 2
    assert medallion("graph", "--out", str(tmp_path / "no" / "a.svg")).code == 2


def test_live_tells_what_is_in_the_lake(lake: Lake, medallion: Medallion) -> None:
    write_table(lake.path(BRONZE), rows=1234)
    write_table(lake.path(SILVER), rows=10)
    take_away(lake.path(SILVER), 1, 3, 5)
    told = medallion("graph", "--live").out
    assert re.search(
        r"bronze\.sales</b><br/>append<br/>1,234 rows, version 0<br/>written \d{4}-\d\d-\d\d", told
    )
    assert "7 rows, version 1<br/>" in told
    assert (
        f"{GOLD}</b><br/>complete<br/>by region, order_date<br/>total_quantity<br/>"
        "does not exist yet" in told
    )
    assert 'landing/sales</b><br/>json files"' in told
