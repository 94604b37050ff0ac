"""CHECK constraints of a table: which are new, and which rows would break them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from medallion_jobs.config import TableRef
from medallion_jobs.errors import DataError, UsageError
from medallion_jobs.lake.tables.sql import column, table
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

# How Delta's own failure of a write begins.
VIOLATED = "[DELTA_VIOLATE_CONSTRAINT_WITH_VALUES]"
_PREFIX = "delta.constraints."
_SAMPLES, _LONGEST = 3, 300


def difference(
    declared: Mapping[str, str], recorded: Mapping[str, str], properties: Mapping[str, str | None]
) -> tuple[dict[str, str], list[str]]:
    """The checks to be added, and the names of those to be dropped before.

    Args:
        recorded: what was set from a config before, by name.
        properties: the table's, in which Delta keeps its checks.
    """
    there = {key.removeprefix(_PREFIX) for key in properties if key.startswith(_PREFIX)}
    kept = {
        name
        for name, sql in declared.items()
        if recorded.get(name) == sql and name.lower() in there
    }
    ours = {name.lower() for name in (*recorded, *declared)}
    still = {name.lower() for name in kept}
    new = {name: sql for name, sql in declared.items() if name not in kept}
    return new, sorted(there & ours - still)


def properties(declared: Mapping[str, str]) -> dict[str, str]:
    """The properties by which a table is made with checks."""
    return {f"{_PREFIX}{name.lower()}": sql for name, sql in declared.items()}


def added(path: Location, name: str, sql: str) -> str:
    # On lines of its own: a comment in the SQL ends there.
    return f"ALTER TABLE {table(path)} ADD CONSTRAINT {column(name)} CHECK (\n{sql}\n)"


def dropped(path: Location, name: str) -> str:
    return f"ALTER TABLE {table(path)} DROP CONSTRAINT IF EXISTS {column(name)}"


def enforced(rows: DataFrame, declared: Mapping[str, str]) -> DataFrame:
    """The rows; reading one that breaks a check fails as Delta itself does."""
    from pyspark.sql import functions as F  # noqa: PLC0415

    for name, sql in declared.items():
        said = F.concat(
            F.lit(f"{VIOLATED} CHECK constraint {name} ({sql}) violated by row with values: "),
            F.to_json(F.struct("*")),
        )
        failure = F.raise_error(said).cast("boolean")
        rows = rows.where(F.when(_broken(sql), failure).otherwise(F.lit(True)))
    return rows


def refuse_broken(
    spark: SparkSession, ref: TableRef, path: Location, new: Mapping[str, str]
) -> None:
    """Looks whether the table's rows keep these checks, in one pass.

    Raises:
        UsageError: a check that cannot be computed.
        DataError: rows that break one, with a count and some of them.
    """
    if not new:
        return
    from pyspark.errors import AnalysisException  # noqa: PLC0415
    from pyspark.sql import functions as F  # noqa: PLC0415 (the field's own name for it)

    rows = spark.read.format("delta").load(str(path))
    try:
        counts = rows.agg(*(F.count_if(_broken(s)).alias(n) for n, s in new.items())).collect()[0]
    except AnalysisException as error:
        raise UsageError(
            f"{ref}: a check of its layout cannot be computed: {str(error).splitlines()[0]}",
            untouched="nothing was written",
            next_step="mend `layout.checks` of the table in the config",
        ) from error
    told = [
        f"{counts[name]:,} rows break {name} ({sql.strip()}), such as "
        + "; ".join(
            row["said"][:_LONGEST]
            for row in rows.where(_broken(sql))
            .select(F.to_json(F.struct("*")).alias("said"))
            .limit(_SAMPLES)
            .collect()
        )
        for name, sql in new.items()
        if counts[name]
    ]
    if told:
        raise DataError(
            f"{ref} cannot be given a check that its own rows break: " + "\n  ".join(told),
            untouched="nothing was written",
            next_step="mend these rows or the check; an expectation that quarantines such rows "
            "and a reset make the table without them",
        )


def _broken(sql: str) -> Column:
    """What Delta takes for broken: false, and null as well."""
    from pyspark.sql import functions as F  # noqa: PLC0415

    return ~F.coalesce(F.expr(sql), F.lit(False))
