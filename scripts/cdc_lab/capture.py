"""Captures what Debezium really sends, from the real servers: `tests/data/debezium`.

    cd scripts && ../.venv/bin/python -m cdc_lab.capture [SCENARIO …]

Each file of `scenarios/` is played to a database of its own, with one connector for each way to
write the messages. Above `-- changes` is what the snapshot finds; below it, `-- on NAME` goes on
in another session, `-- lab: mark` waits until all before it was sent, `-- lab: noted` until
Connect has noted that, and `-- lab: kill` kills Connect once it was sent, and starts it again.
`-- lab: lose` kills it as well and drops its slot; `-- lab: over` starts it without its offsets.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from pathlib import Path

from cdc_lab.play import DEFAULT, Play, Scenario
from medallion_jobs.errors import MedallionError

TARGET = Path(__file__).parents[2] / "tests" / "data" / "debezium"
_MODES = {
    **DEFAULT,
    "decimal_string": {"decimal.handling.mode": "string"},
    "decimal_double": {"decimal.handling.mode": "double"},
    "time_connect": {"time.precision.mode": "connect"},
    "time_microseconds": {"time.precision.mode": "adaptive_time_microseconds"},
    "texts": {
        "decimal.handling.mode": "string",
        "time.precision.mode": "isostring",
        "interval.handling.mode": "string",
        "binary.handling.mode": "base64",
    },
}
# The columns that a mode changes.
_DECIMALS = ("exact", "wide", "no_scale", "bare", "cash", "share", "exacts", "bares")
_TIMES = (
    *("day", "clock", "clock3", "clock_tz", "ts", "ts0", "ts3", "ts6", "ts_tz", "ts_tz3"),
    *("span", "days", "stamps", "stamps_tz"),
)
_COLUMNS = {"decimal": _DECIMALS, "time": _TIMES, "texts": (*_DECIMALS, *_TIMES, "bin", "bits")}
_FLAT = {
    "table.include.list": "public.(marks|customers|orders)",
    "transforms": "flat",
    "transforms.flat.type": "io.debezium.transforms.ExtractNewRecordState",
    "transforms.flat.delete.tombstone.handling.mode": "rewrite",
    "transforms.flat.add.fields": "op,source.lsn,source.ts_ms,source.txId,source.table",
}
_NUMERIC = {"table.include.list": "public.(marks|by_numeric|by_bare)"}
# Where a column has a default, Connect's JSON has it in place of NULL otherwise.
_NULLS = {
    "key.converter.replace.null.with.default": False,
    "value.converter.replace.null.with.default": False,
}


def _only(mode: str) -> dict[str, object]:
    """Of the table with all types, the columns that a mode changes."""
    columns = _COLUMNS.get(mode.partition("_")[0])
    if not columns:
        return {}
    listed = "|".join(("id", *columns))
    return {
        "table.include.list": "public.(marks|types)",
        "column.include.list": rf"public\.(marks|types)\.({listed})",
    }


_TRANSACTIONS = {"provide.transaction.metadata": True}
SCENARIOS = {
    # The names of the types are in the schemas.
    "types": Scenario(
        {mode: {**further, **_only(mode)} for mode, further in _MODES.items()}, form="schemas"
    ),
    "specials": Scenario(_MODES),
    # A truncation is left out otherwise.
    "changes": Scenario(
        {**DEFAULT, "flat": _FLAT, "nulls": _NULLS},
        settings={**_TRANSACTIONS, "skipped.operations": "none"},
    ),
    "toast": Scenario({**DEFAULT, "texts": _MODES["texts"]}),
    # A table that is made later is in no publication for the tables that there were.
    "alter": Scenario(settings={**_TRANSACTIONS, "publication.autocreate.mode": "all_tables"}),
    "keys": Scenario({**DEFAULT, "decimal_string": {**_MODES["decimal_string"], **_NUMERIC}}),
    "extensions": Scenario(
        {**DEFAULT, "hstore_map": {"hstore.handling.mode": "map"}},
        form="schemas",
        programs="/usr/lib/postgresql/*/bin",
    ),
    "again": Scenario(
        forms=("plain",),
        settings={"signal.data.collection": "public.signals"},
        worker={"offset.flush.interval.ms": 12_000},
    ),
    "slot": Scenario(forms=("plain",), settings=_TRANSACTIONS),
}


def main(names: list[str]) -> None:
    """Captures the scenarios of these names, or all.

    Raises:
        MedallionError: a server does not start, or does not what it has to.
    """
    for name in names or SCENARIOS:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="medallion-cdc-") as folder:
            play = Play(name, SCENARIOS[name], Path(folder))
            for file in play.run(TARGET):
                lines = file.read_text("utf-8").count("\n")
                print(f"{file.name:<42} {lines:>5} lines {file.stat().st_size / 1e3:>7.1f} kB")
            for connector, why in play.failed.items():
                print(f"{connector} failed: {why}")
        print(f"{name}: {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    # Its servers end with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main(sys.argv[1:])
    except MedallionError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
