"""CHECK constraints of a table: which are new, and which rows break them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from medallion_jobs.config import TableRef
from medallion_jobs.errors import DataError, UsageError
from medallion_jobs.lake.tables.sql import column, table
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

# The start of Delta's error message for a write that breaks a constraint.
VIOLATED = "[DELTA_VIOLATE_CONSTRAINT_WITH_VALUES]"
_PREFIX = "delta.constraints."
_SAMPLES, _LONGEST = 3, 300


def difference(
    declared: Mapping[str, str], recorded: Mapping[str, str], properties: Mapping[str, str | None]
) -> tuple[dict[str, str], list[str]]:
    """The checks to add, and the names of the checks to drop first.

    Args:
        declared: the checks of the config, as SQL by name.
        recorded: the checks that an earlier config set, as SQL by name.
        properties: the table's properties, where Delta stores its checks.
    """
    existing = {key.removeprefix(_PREFIX) for key in properties if key.startswith(_PREFIX)}
    kept = {
        name
        for name, sql in declared.items()
        if recorded.get(name) == sql and name.lower() in existing
    }
    ours = {name.lower() for name in (*recorded, *declared)}
    still = {name.lower() for name in kept}
    new = {name: sql for name, sql in declared.items() if name not in kept}
    return new, sorted(existing & ours - still)


def properties(declared: Mapping[str, str]) -> dict[str, str]:
    """The table properties that create a table with these checks."""
    return {f"{_PREFIX}{name.lower()}": sql for name, sql in declared.items()}


def added(path: Location, name: str, sql: str) -> str:
    # On its own line, so that a comment in the SQL ends there.
    return f"ALTER TABLE {table(path)} ADD CONSTRAINT {column(name)} CHECK (\n{sql}\n)"


def dropped(path: Location, name: str) -> str:
    return f"ALTER TABLE {table(path)} DROP CONSTRAINT IF EXISTS {column(name)}"


def enforced(rows: DataFrame, declared: Mapping[str, str]) -> DataFrame:
    """The rows; reading a row that breaks a check fails with Delta's error message."""
    from pyspark.sql import functions as F  # noqa: PLC0415

    for name, sql in declared.items():
        message = F.concat(
            F.lit(f"{VIOLATED} CHECK constraint {name} ({sql}) violated by row with values: "),
            F.to_json(F.struct("*")),
        )
        failure = F.raise_error(message).cast("boolean")
        rows = rows.where(F.when(_broken(sql), failure).otherwise(F.lit(True)))
    return rows


def refuse_broken(
    spark: SparkSession, ref: TableRef, path: Location, new: Mapping[str, str]
) -> None:
    """Checks the table's rows against new checks, in one pass.

    Args:
        new: the checks, as SQL by name.

    Raises:
        UsageError: a check cannot be computed.
        DataError: rows break a check; the message has their number and some examples.
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
            code="check_not_computable",
            untouched="nothing was written",
            next_step="fix `layout.checks` of the table in the config",
        ) from error
    failed = [
        f"{counts[name]:,} rows break {name} ({sql.strip()}), such as "
        + "; ".join(
            row["example"][:_LONGEST]
            for row in rows.where(_broken(sql))
            .select(F.to_json(F.struct("*")).alias("example"))
            .limit(_SAMPLES)
            .collect()
        )
        for name, sql in new.items()
        if counts[name]
    ]
    if failed:
        raise DataError(
            f"{ref} cannot get a check that its existing rows break: " + "\n  ".join(failed),
            code="check_breaks_existing_rows",
            untouched="nothing was written",
            next_step="fix these rows or the check; or rebuild the table without them, by an "
            "expectation that quarantines such rows and a reset",
        )


def _broken(sql: str) -> Column:
    """Whether a row breaks a check for Delta: the check is false or null."""
    from pyspark.sql import functions as F  # noqa: PLC0415

    return ~F.coalesce(F.expr(sql), F.lit(False))
