"""Rows of Arrow on their way to a person or a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa


class Batches:
    """A stream of record batches, as DuckDB computes them.

    Columns of one name get names of their own, and intervals, which files do not know, are texts.

    Args:
        failed: makes the error to raise of one that DuckDB has while it computes.
    """

    def __init__(
        self, reader: pa.RecordBatchReader, failed: Callable[[Exception], Exception]
    ) -> None:
        self._reader = reader
        self._failed = failed
        fields = zip(_unlike(reader.schema.names), reader.schema.types, strict=True)
        self.schema = pa.schema([(name, _kept(kind)) for name, kind in fields])

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        while True:
            try:
                batch = self._reader.read_next_batch()
            except StopIteration:
                return
            except (OSError, pa.ArrowException) as error:
                raise self._failed(error) from error
            yield pa.record_batch([_mended(column) for column in batch.columns], schema=self.schema)


def first(batches: Batches, rows: int) -> Iterator[pa.RecordBatch]:
    """The first `rows` rows of a stream."""
    left = rows
    for batch in batches:
        yield batch.slice(0, left)
        left -= batch.num_rows
        if left <= 0:
            return


def told(column: pa.Array) -> list[Any]:
    """A column as Python values; moments that Python cannot hold are texts."""
    try:
        return list(column.to_pylist(maps_as_pydicts="strict"))
    except (ValueError, OverflowError):
        return list(column.cast(pa.string()).to_pylist())


def _unlike(names: list[str]) -> list[str]:
    """Names as they are, but `a, a` as `a, a_1`."""
    taken: list[str] = []
    for name in names:
        candidate, number = name, 0
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.append(candidate)
    return taken


def _kept(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_interval(kind) else kind


def _mended(column: pa.Array) -> pa.Array:
    if not pa.types.is_interval(column.type):
        return column
    return pa.array([value and _interval(value) for value in column.to_pylist()], pa.string())


def _interval(value: Any) -> str:
    """An interval in DuckDB's words, such as `1 year 2 months 3 days 04:05:06`."""
    years, months = divmod(abs(value.months), 12)
    sign = "-" if value.months < 0 else ""
    counted = [(f"{sign}{years}", "year", years), (f"{sign}{months}", "month", months)]
    counted.append((str(value.days), "day", abs(value.days)))
    words = [f"{text} {unit}{'' if size == 1 else 's'}" for text, unit, size in counted if size]
    seconds, micros = divmod(abs(value.nanoseconds) // 1000, 1_000_000)
    if value.nanoseconds or not words:
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        fraction = f".{micros:06}".rstrip("0") if micros else ""
        words.append(f"{'-' if value.nanoseconds < 0 else ''}{clock}{fraction}")
    return " ".join(words)
