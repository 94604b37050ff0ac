"""Finds mistakes that concern several keys at once, in data of any shape."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pydantic_core import InitErrorDetails, PydanticCustomError

from medallion_jobs.config import database_names, kafka_options, reader_options, spark_conf
from medallion_jobs.config.fields import refused
from medallion_jobs.config.names import LAYERS, folder
from medallion_jobs.storage import S3, Location, is_below

NOT_FOUND = "table_not_found"
_READS_FROM = {"silver": ("bronze", "silver"), "gold": ("silver",)}


def findings(data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    """Every mistake between keys; skips values that the check of a single key refuses."""
    yield from _unknown_tables(data)
    yield from _cycles(data)
    yield from _changing_sources(data)
    yield from _without_unknown_member(data)
    yield from _named_surrogates(data)
    yield from _names_alike(data)
    yield from _folders_inside_others(data)
    yield from _reader_options(data)
    yield from _foreign_packages(data)
    for loc, why in database_names.problems(_mapping(data, "gold")):
        yield _error(refused(why), *loc)
    conf = _mapping(_mapping(data, "spark"), "conf")
    for key, value in conf.items():
        reason = spark_conf.refusal(key, value)
        if reason:
            yield _error(refused(reason), "spark", "conf", key)


def _error(error: PydanticCustomError, *loc: str | int) -> InitErrorDetails:
    return InitErrorDetails(type=error, loc=loc, input=None)


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def _inputs(data: Mapping[str, Any], layer: str) -> Iterator[tuple[str, str]]:
    for name, table in _tables(data, layer):
        source = table.get("from")
        if isinstance(source, str):
            yield name, source


def _unknown_tables(data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    for layer, readable in _READS_FROM.items():
        tables = [f"{above}.{name}" for above in readable for name in _mapping(data, above)]
        for name, source in _inputs(data, layer):
            if source.partition(".")[0] in readable and source not in tables:
                known = [table for table in tables if table != f"{layer}.{name}"]
                missing = PydanticCustomError(
                    NOT_FOUND, "no such table in this pipeline", {"known": known}
                )
                yield _error(missing, layer, name, "from")


def _cycles(data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    """Silver tables that read or look up each other in a cycle."""
    reads = {f"silver.{name}": set(_used(table)) for name, table in _tables(data, "silver")}
    try:
        tuple(TopologicalSorter(reads).static_order())
    except CycleError as error:
        # Starts at the first table by name; each table is followed by one that reads it.
        path = error.args[1][:0:-1]
        start = path.index(min(path))
        cycle = [*path[start:], *path[: start + 1]]
        reason = f"the tables read each other in a cycle: {' <- '.join(cycle)}"
        yield _error(refused(reason), *cycle[0].split("."), "from")


def _used(table: Mapping[str, Any]) -> Iterator[str]:
    rules = _mapping(table, "expect").values()
    lookups = table.get("lookups")
    dimensions = [
        *(lookups if isinstance(lookups, list | tuple) else ()),
        *(_mapping(rule, "references") for rule in rules if isinstance(rule, Mapping)),
    ]
    for used in (
        table.get("from"),
        *(lookup.get("table") for lookup in dimensions if isinstance(lookup, Mapping)),
    ):
        if isinstance(used, str):
            yield used


def _changing_sources(data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    """Tables whose rows change, and that another table reads as a stream of new rows."""
    changing = {f"silver.{n}": why for n, t in _tables(data, "silver") if (why := _changes(t))}
    for layer in _READS_FROM:
        incremental = [n for n, t in _tables(data, layer) if t.get("mode") == "incremental"]
        for name, source in _inputs(data, layer):
            if source in changing and name not in incremental:
                instead = (
                    "use `mode: incremental`, which follows changes"
                    if layer == "gold"
                    else "use it in a lookup, or read the table that it is built from"
                )
                reason = (
                    f"rows of {source} change ({changing[source]}), and a stream reads only new "
                    f"rows; {instead}"
                )
                yield _error(refused(reason), layer, name, "from")


def _without_unknown_member(data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    """Lookups that use the unknown member of a dimension that has none."""
    having = {f"silver.{name}" for name, t in _tables(data, "silver") if t.get("unknown_member")}
    for name, table in _tables(data, "silver"):
        lookups = table.get("lookups")
        for place, lookup in enumerate(lookups if isinstance(lookups, list | tuple) else ()):
            if not isinstance(lookup, Mapping) or lookup.get("table") in having:
                continue
            for key in ("on_miss", "after_hold"):
                if lookup.get(key) == "unknown":
                    reason = (
                        f"{lookup.get('table')} has no `unknown_member` in this pipeline; give it "
                        f"one, or use another value for `{key}`"
                    )
                    yield _error(refused(reason), "silver", name, "lookups", place, key)


def _named_surrogates(data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    """Surrogate keys that the config also declares as a column of the rows."""
    for name, table in _tables(data, "silver"):
        surrogate = table.get("surrogate_key")
        for key in ("select", "columns", "keys"):
            declared = table.get(key)
            names = [declared] if isinstance(declared, str) else declared
            if isinstance(names, list | tuple | Mapping) and surrogate and surrogate in names:
                reason = f"{surrogate} is the surrogate key, which the table has by itself"
                yield _error(refused(reason), "silver", name, key)


def _changes(table: Mapping[str, Any]) -> str | None:
    keep = _mapping(table, "dedupe").get("keep")
    if keep in ("lowest", "highest"):
        return f"dedupe: keep: {keep}"
    if table.get("apply_changes") is not None:
        return "apply_changes"
    write = table.get("write")
    return f"write: {write}" if write in ("upsert", "scd2", "snapshot") else None


def _tables(data: Mapping[str, Any], layer: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, table in _mapping(data, layer).items():
        if isinstance(table, Mapping):
            yield name, table


def _names_alike(data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    for layer in LAYERS:
        seen: dict[str, str] = {}
        for name in _mapping(data, layer):
            twin = seen.setdefault(name.lower(), name)
            if twin != name:
                reason = f"for Spark, {layer}.{twin} and {layer}.{name} are the same table"
                yield _error(refused(reason), layer, name)


def _folders_inside_others(data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    """Landing folders inside storage.root, or the reverse: a job would read its own output."""
    storage = _folder(_mapping(data, "storage").get("root", "./lake"))
    if storage is None:
        return
    read: list[tuple[object, tuple[str, ...]]] = [
        (_mapping(data, "landing").get("root", "./landing"), ("landing", "root"))
    ]
    for name, table in _mapping(data, "bronze").items():
        source = _mapping(table, "source") if isinstance(table, Mapping) else {}
        paths = source.get("path")
        for path in paths if isinstance(paths, list | tuple) else [paths]:
            read.append((path, ("bronze", name, "source", "path")))
    for text, loc in read:
        read_from = _folder(text)
        if read_from and (is_below(read_from, storage) or is_below(storage, read_from)):
            reason = "storage.root and this folder overlap; a job would read its own tables"
            yield _error(refused(reason), *loc)


def _reader_options(data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    for name, table in _mapping(data, "bronze").items():
        source = _mapping(table, "source") if isinstance(table, Mapping) else {}
        options = _mapping(source, "options")
        if source.get("format") == "kafka":
            for option, value in options.items():
                if reason := kafka_options.refusal(str(option), value):
                    yield _error(refused(reason), "bronze", name, "source", "options", option)
        for option, reason in reader_options.faults(str(source.get("format")), options):
            yield _error(refused(reason), "bronze", name, "source", "options", option)


def _foreign_packages(data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    """Packages without transforms, through which a config could run any code."""
    packages = data.get("python_packages")
    for place, name in enumerate(packages if isinstance(packages, list | tuple) else ()):
        if name in sys.stdlib_module_names or name in ("__main__", "medallion_jobs", "pyspark"):
            yield _error(
                refused("not your package: name the one that holds your transforms"),
                "python_packages",
                place,
            )


def _folder(text: object) -> Location | None:
    try:
        return folder(text, S3()) if isinstance(text, str) else None
    except ValueError:
        return None  # the check of the key itself reports it
