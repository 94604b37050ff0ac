"""A pipeline as a graph of landing folders, tables, lookups and sinks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medallion_jobs.config import (
    BronzeTable,
    GoldTable,
    Jdbc,
    KafkaSource,
    Lookup,
    Pipeline,
    Reference,
    SilverTable,
    TableRef,
)
from medallion_jobs.config.secrecy import Hidden
from medallion_jobs.config.units import format_time
from medallion_jobs.masking import MASK

Kind = Literal["landing", "bronze", "silver", "gold", "sink"]
KINDS: tuple[Kind, ...] = ("landing", "bronze", "silver", "gold", "sink")
HEADINGS: Mapping[Kind, str] = {kind: kind for kind in KINDS} | {"sink": "warehouse"}
Way = Literal["rows", "lookup", "reference"]

# The login in a URI such as s3a://KEY:SECRET@BUCKET/FOLDER.
_LOGIN = re.compile(r"(?<=://)[^/@]*@")


@dataclass(frozen=True)
class Node:
    """A folder, a table or a table of a database.

    Attributes:
        id: unique in the graph; for a table, its name with the layer.
        does: how it is written, such as `append`.
        lines: further details from the config, one line each.
        facts: its rows, version and last write, one line each; empty for a graph of the config.
        outside: whether it belongs to another pipeline.
    """

    id: str
    kind: Kind
    name: str
    does: str
    lines: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    outside: bool = False

    @property
    def table(self) -> TableRef | None:
        """The node's table; None for a landing folder or a sink."""
        return None if self.kind in ("landing", "sink") else TableRef.parse(self.id)


@dataclass(frozen=True)
class Edge:
    """A dependency of `target` on `source`.

    Attributes:
        way: rows: reads it as a stream; lookup: takes columns from it; reference: only checks
            that it has a key.
        label: keys and what a miss does, one line each; may be empty.
    """

    source: str
    target: str
    way: Way = "rows"
    label: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graph:
    """A pipeline as its config describes it.

    Attributes:
        nodes: by layer, within a layer in the order of the config.
    """

    pipeline: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def graph(config: Pipeline) -> Graph:
    """The graph of a pipeline, from its config alone."""
    nodes = [
        *_landings(config),
        *(_bronze(name, table) for name, table in config.bronze.items()),
        *_outside(config),
        *(_silver(name, table) for name, table in config.silver.items()),
        *(_gold(name, table) for name, table in config.gold.items()),
        *_sinks(config),
    ]
    return Graph(config.pipeline, tuple(nodes), tuple(dict.fromkeys(_edges(config))))


def _landings(config: Pipeline) -> Iterator[Node]:
    for name, table in config.bronze.items():
        if isinstance(table.source, KafkaSource):
            yield Node(_landing_id(name, 0), "landing", _topics(table.source), "Kafka topics")
            continue
        configured: tuple[str, ...] = table.source.path or (config.landing.root,)
        for number, path in enumerate(config.landing_paths(name)):
            shown = MASK if isinstance(configured[number], Hidden) else _relative(path)
            does = f"{table.source.format} files"
            yield Node(_landing_id(name, number), "landing", shown, does)


def _topics(source: KafkaSource) -> str:
    """The topics and one server; others of the list are of the same cluster."""
    (server, *others) = map(_shown, source.servers)
    return f"{source.subscription} at {server}{' …' if others else ''}"


def _landing_id(name: str, number: int) -> str:
    return f"landing.{name}.{number}"


def _relative(folder: str) -> str:
    """A folder, relative to the current one if it lies inside; a URI without its login."""
    if "://" in folder:
        return _LOGIN.sub("", folder)
    current = Path.cwd()
    path = Path(folder)
    return str(path.relative_to(current)) if path.is_relative_to(current) else folder


def _bronze(name: str, table: BronzeTable) -> Node:
    if isinstance(table.source, KafkaSource):
        return Node(f"bronze.{name}", "bronze", f"bronze.{name}", "append")
    evolution = table.source.evolution.replace("_", " ")
    lines = () if evolution == "none" else (evolution,)
    return Node(f"bronze.{name}", "bronze", f"bronze.{name}", "append", lines)


def _silver(name: str, table: SilverTable) -> Node:
    does = table.how_written.removeprefix("write: ")
    does += f" by {', '.join(table.identity)}" if table.identity else ""
    lines = []
    if table.dedupe:
        keys = table.dedupe.keys
        lines.append(f"one row for each {', '.join(keys)}" if keys else "no row twice")
    if table.expect:
        lines.append("1 rule" if len(table.expect) == 1 else f"{len(table.expect)} rules")
    return Node(f"silver.{name}", "silver", f"silver.{name}", does, tuple(lines))


def _gold(name: str, table: GoldTable) -> Node:
    by = [*(table.group_by or ()), *(table.period.columns if table.period else ())]
    lines = (f"by {', '.join(by)}", ", ".join([*table.measures, *table.columns]))
    return Node(f"gold.{name}", "gold", f"gold.{name}", table.mode, lines)


def _sinks(config: Pipeline) -> Iterator[Node]:
    for name, table in config.gold.items():
        for sink in table.sinks:
            target = f"{sink.jdbc.schema_}.{sink.jdbc.table or name}"
            # Only the kind of database: the rest of the URL may hold a secret.
            kind = sink.jdbc.url.split(":")[1]
            yield Node(_sink_id(name, sink.jdbc), "sink", target, f"{sink.jdbc.name}, {kind}")


def _sink_id(gold: str, sink: Jdbc) -> str:
    return f"sink.{gold}.{sink.name}"


def _outside(config: Pipeline) -> Iterator[Node]:
    """Dimensions that another pipeline writes."""
    own = _own(config)
    dimensions = [ref for table in config.silver.values() for ref in table.dimensions]
    for ref in dict.fromkeys(dimensions):
        if str(ref) not in own:
            yield Node(str(ref), ref.layer, str(ref), "of another pipeline", outside=True)


def _own(config: Pipeline) -> set[str]:
    layers: Mapping[str, Mapping[str, object]] = {
        "bronze": config.bronze,
        "silver": config.silver,
        "gold": config.gold,
    }
    return {f"{layer}.{name}" for layer, tables in layers.items() for name in tables}


def _edges(config: Pipeline) -> Iterator[Edge]:
    for name in config.bronze:
        folders = config.landing_paths(name) if name in config.file_sources else ("",)
        for number, _ in enumerate(folders):
            yield Edge(_landing_id(name, number), f"bronze.{name}")
    for name, silver in config.silver.items():
        target = f"silver.{name}"
        yield Edge(str(silver.from_), target)
        for lookup in silver.lookups:
            yield Edge(str(lookup.table), target, "lookup", _lookup_label(lookup))
        for rule in silver.expect.values():
            if rule.references:
                label = (_keys(rule.references), f"else: {rule.otherwise}")
                yield Edge(str(rule.references.table), target, "reference", label)
    for name, gold in config.gold.items():
        changes = ("its changes",) if gold.mode == "incremental" else ()
        yield Edge(str(gold.from_), f"gold.{name}", label=changes)
        for sink in gold.sinks:
            yield Edge(f"gold.{name}", _sink_id(name, sink.jdbc))


def _lookup_label(lookup: Lookup) -> tuple[str, ...]:
    labels = {"null": "left out" if lookup.how == "inner" else "null"}
    miss = labels.get(lookup.on_miss, lookup.on_miss)
    if miss == "hold":
        then = labels.get(lookup.after_hold, lookup.after_hold)
        miss = f"hold {format_time(lookup.hold_for)}, then {then}"
    as_of = f" as of {_shown(lookup.as_of)}" if lookup.as_of else ""
    return f"{_keys(lookup)}{as_of}", f"on miss: {miss}"


def _keys(lookup: Lookup | Reference) -> str:
    pairs = [
        key if sql == key else f"{key} = {_shown(sql)}"  # a column of the dimension, and its value
        for key, sql in lookup.on.items()
    ]
    return f"on {', '.join(pairs)}"


def _shown(text: str) -> str:
    return MASK if isinstance(text, Hidden) else text
