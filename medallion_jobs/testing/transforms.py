"""A test helper for Python transforms, to use with pytest.

from medallion_jobs.testing import check_transform

def test_totals(spark):
    check_transform(
        spark,
        "shop.orders:with_total",
        given=[{"price": 2, "quantity": 3}],
        schema="price int, quantity int",
        expected=[{"price": 2, "quantity": 3, "total": 6}],
    )
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pyspark.sql.types import (
    StructType,
)

from medallion_jobs.errors import UsageError
from medallion_jobs.lake.tables.schema import parse_ddl
from medallion_jobs.refine.transform import functions
from medallion_jobs.testing.comparable import comparable, in_utc

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Row = Mapping[str, Any]
# The settings of a pipeline's session.
_CONF = {"spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "true"}
_MOST_SHOWN = 10


def check_transform(
    spark: SparkSession,
    transform: str | functions.Transform,
    *,
    given: Sequence[Row],
    schema: str,
    expected: Sequence[Row],
) -> None:
    """Checks that a transform meets the requirements of a pipeline.

    It returns the expected rows, in any order. It returns the same rows if the given rows have
    another order and other partitions. Calling it only builds a plan: it runs no Spark job, and
    leaves no setting, view or cached table behind.

    It runs in a new session with a pipeline's settings, not in `spark` itself. Timestamps without
    a time zone are in UTC, in given and in expected rows.

    Args:
        transform: a function of one DataFrame, or its name such as `package.module:function`.
        given: rows as mappings; a column that a row lacks is null.
        schema: the columns of `given`, as DDL.
        expected: rows as mappings, each with all columns of the result.

    Raises:
        AssertionError: it does not; the message shows the difference.
        UsageError: there is no such function, it failed, or a given row has a column that
            `schema` lacks.
    """
    name, function = _function(transform)
    session = spark.newSession()
    for key, value in _CONF.items():
        session.conf.set(key, value)
    columns = parse_ddl(schema)
    rows = [_given(row, columns) for row in given]

    def transformed(rows: Sequence[Any], split: Callable[[DataFrame], DataFrame]) -> DataFrame:
        frame = split(session.createDataFrame(rows, columns))
        with _only_plans(session, name):
            return functions.called(name, function, frame)

    first = transformed(rows, lambda frame: frame.coalesce(1))
    second = transformed(rows[::-1], lambda frame: frame.repartition(3))
    if first.schema.simpleString() != second.schema.simpleString():
        raise AssertionError(
            f"{name} returned other columns the second time:\n  {first.schema.simpleString()}\n"
            f"  {second.schema.simpleString()}"
        )
    found, found_again = _counted(first), _counted(second)
    if found != found_again:
        raise AssertionError(
            f"{name} returned other rows when the given rows had another order and three "
            "partitions:\n"
            + _difference(first.columns, found, found_again, "only first", "only second")
        )
    wanted = Counter(_expected(row, first.schema) for row in expected)
    if found != wanted:
        raise AssertionError(
            f"{name} did not return the expected rows:\n"
            + _difference(first.columns, wanted, found, "missing", "not expected")
        )


def _function(transform: str | functions.Transform) -> tuple[str, functions.Transform]:
    if not isinstance(transform, str):
        return getattr(transform, "__qualname__", repr(transform)), transform
    # A test may run any package; in a pipeline, `python_packages` restricts them.
    return transform, functions.load(transform, [transform.partition(":")[0].partition(".")[0]])


@contextmanager
def _only_plans(spark: SparkSession, name: str) -> Iterator[None]:
    """Raises AssertionError when the block does more than build a plan."""
    before = _state(spark)
    yield
    after = _state(spark)
    changed = [what for what, value in before.items() if after[what] != value]
    if "Spark jobs" in changed:
        raise AssertionError(
            f"{name} ran {after['Spark jobs'] - before['Spark jobs']} Spark jobs while it built "
            "its plan: count(), collect(), show(), write and similar calls are not allowed"
        )
    if changed:
        raise AssertionError(f"{name} changed the session: {', '.join(changed)}")


def _state(spark: SparkSession) -> dict[str, Any]:
    """The state that a transform must not change. pyspark has no public API for most of it."""
    session: Any = spark._jsparkSession
    context: Any = spark.sparkContext._jsc
    catalog = session.sessionState().catalog()
    conf = session.sessionState().conf().getAllConfs()
    return {
        # Counts the jobs of all threads, and does not wait for listeners.
        "Spark jobs": context.sc().dagScheduler().numTotalJobs(),
        "settings": conf.toString(),
        "temporary views": catalog.listLocalTempViews("*").toString(),
        "global views": catalog.globalTempViewManager().listViewNames("*").toString(),
        "temporary functions": catalog.listTemporaryFunctions().toString(),
        "cached tables": session.sharedState().cacheManager().numCachedEntries(),
    }


def _given(row: Row, columns: StructType) -> dict[str, Any]:
    unknown = sorted(set(row) - set(columns.names))
    if unknown:
        raise UsageError(
            f"a given row has {', '.join(unknown)}, which `schema` lacks: {dict(row)}",
            code="unknown_column_in_test",
            next_step="add the column to `schema`, or take it out of the row",
        )
    return {field.name: in_utc(row.get(field.name), field.dataType) for field in columns}


def _counted(rows: DataFrame) -> Counter[tuple[Any, ...]]:
    kinds = [field.dataType for field in rows.schema]
    # Through Arrow: `collect` returns timestamps in the local time zone.
    columns = [column.to_pylist() for column in rows.toArrow().columns]
    return Counter(
        tuple(comparable(value, kind) for value, kind in zip(row, kinds, strict=True))
        for row in zip(*columns, strict=True)
    )


def _expected(row: Row, columns: StructType) -> tuple[Any, ...]:
    if set(row) != set(columns.names):
        raise AssertionError(
            f"the result has the columns {', '.join(columns.names)}; expected were {', '.join(row)}"
        )
    return tuple(comparable(row[field.name], field.dataType) for field in columns)


def _difference(
    names: Sequence[str],
    counter: Counter[tuple[Any, ...]],
    other: Counter[tuple[Any, ...]],
    only_one: str,
    only_other: str,
) -> str:
    lines = []
    for label, rows in ((only_one, counter - other), (only_other, other - counter)):
        for row, times in sorted(rows.items(), key=repr)[:_MOST_SHOWN]:
            shown = ", ".join(f"{name}={value!r}" for name, value in zip(names, row, strict=True))
            lines.append(f"  {label}, {times} x: {shown}")
        if len(rows) > _MOST_SHOWN:
            lines.append(f"  {label}: {len(rows) - _MOST_SHOWN} more")
    return "\n".join(lines)
