"""The columns of tables, as far as the config and the rows of a case say them, without a JVM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql.types import DataType, StructField, StructType

from medallion_jobs.autoloader.schemas import hints
from medallion_jobs.autoloader.schemas.columns import of_table
from medallion_jobs.config import FileSource, KafkaSource, Pipeline, TableRef
from medallion_jobs.kafkaloader.columns import of_table as of_topics
from medallion_jobs.lake.tables import ddl
from medallion_jobs.plan.columns import LakeColumns
from medallion_jobs.testing.cases.model import Row
from medallion_jobs.testing.cases.values import inferred_columns


def known(config: Pipeline, table: TableRef) -> Mapping[str, DataType | None] | None:
    """The columns that the config gives a table, with their types where these are known."""
    found = LakeColumns(config).by_config.get(table)
    return found or None


def of(config: Pipeline, table: TableRef, rows: Sequence[Row]) -> StructType | None:
    """The columns of a table that a case gives rows for; None if its job has to infer them."""
    if table.layer == "bronze" and table.name in config.bronze:
        return of_bronze(config, table.name, rows)
    declared = known(config, table) or {}
    by_rows = inferred_columns(rows)
    kinds = {name: kind for name, kind in declared.items() if kind is not None}
    named = {field.name: kinds.get(field.name, field.dataType) for field in by_rows}
    # A name that the table cannot have stays out: it is refused with the line that has it.
    allowed = {n: kind for n, kind in named.items() if not declared or n in declared}
    return StructType([StructField(name, kind) for name, kind in {**kinds, **allowed}.items()])


def declared(config: Pipeline, table: TableRef, columns: StructType) -> StructType:
    """The columns that a case declares for a table; of a bronze table with the technical ones."""
    source = config.bronze[table.name].source if table.layer == "bronze" else None
    if isinstance(source, FileSource):
        return of_table(source, columns, StructType(), has_versions=False)
    if isinstance(source, KafkaSource):
        fixed = of_topics(source, {})
        more = [column for column in columns if column.name not in fixed.names]
        return StructType([*fixed.fields, *more])
    return columns


def of_bronze(config: Pipeline, name: str, rows: Sequence[Row]) -> StructType | None:
    """The columns of a bronze table; None where only its reader can infer them."""
    source = config.bronze[name].source
    if isinstance(source, KafkaSource):
        decoded = {field.name: field.dataType for field in inferred_columns(rows)}
        fixed = of_topics(source, {})
        more = [StructField(n, kind) for n, kind in decoded.items() if n in ("data", "key_data")]
        return StructType([*fixed.fields, *more])
    declared = LakeColumns(config).bronze(name)
    if declared is not None or source.format == "json" or not rows:
        return declared
    of_rows = inferred_columns(rows)
    if source.schema_hints:
        types = {hint.path: ddl.kind(hint.type_text) for hint in hints.split(source.schema_hints)}
        of_rows = hints.apply(of_rows, {path: kind for path, kind in types.items() if kind})
    return of_table(source, of_rows, StructType(), has_versions=False)
