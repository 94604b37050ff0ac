"""Query results as Arrow record batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa


class Batches:
    """A stream of record batches, read while DuckDB computes them.

    Duplicate column names get a number, and intervals, which file formats lack, become texts.

    Args:
        failed: converts an error of DuckDB during the query into the error to raise.
    """

    def __init__(
        self, reader: pa.RecordBatchReader, failed: Callable[[Exception], Exception]
    ) -> None:
        self._reader = reader
        self._failed = failed
        fields = zip(_unique_names(reader.schema.names), reader.schema.types, strict=True)
        self.schema = pa.schema([(name, _output_type(kind)) for name, kind in fields])

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        while True:
            try:
                batch = self._reader.read_next_batch()
            except StopIteration:
                return
            except (OSError, pa.ArrowException) as error:
                raise self._failed(error) from error
            yield pa.record_batch(
                [_as_output(column) for column in batch.columns], schema=self.schema
            )


def first(batches: Batches, rows: int) -> Iterator[pa.RecordBatch]:
    """The first `rows` rows of a stream."""
    left = rows
    for batch in batches:
        yield batch.slice(0, left)
        left -= batch.num_rows
        if left <= 0:
            return


def python_values(column: pa.Array) -> list[Any]:
    """A column as Python values; as texts if it has timestamps outside Python's range."""
    try:
        return list(column.to_pylist(maps_as_pydicts="strict"))
    except (ValueError, OverflowError):
        return list(column.cast(pa.string()).to_pylist())


def _unique_names(names: list[str]) -> list[str]:
    """The names without duplicates: `a, a` becomes `a, a_1`."""
    taken: list[str] = []
    for name in names:
        candidate, number = name, 0
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.append(candidate)
    return taken


def _output_type(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_interval(kind) else kind


def _as_output(column: pa.Array) -> pa.Array:
    if not pa.types.is_interval(column.type):
        return column
    return pa.array([value and _interval(value) for value in column.to_pylist()], pa.string())


def _interval(value: Any) -> str:
    """An interval as DuckDB prints it, such as `1 year 2 months 3 days 04:05:06`."""
    years, months = divmod(abs(value.months), 12)
    sign = "-" if value.months < 0 else ""
    units = [(f"{sign}{years}", "year", years), (f"{sign}{months}", "month", months)]
    units.append((str(value.days), "day", abs(value.days)))
    parts = [f"{text} {unit}{'' if size == 1 else 's'}" for text, unit, size in units if size]
    seconds, micros = divmod(abs(value.nanoseconds) // 1000, 1_000_000)
    if value.nanoseconds or not parts:
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        fraction = f".{micros:06}".rstrip("0") if micros else ""
        parts.append(f"{'-' if value.nanoseconds < 0 else ''}{clock}{fraction}")
    return " ".join(parts)
