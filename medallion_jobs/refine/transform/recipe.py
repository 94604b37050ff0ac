"""The recipe of one silver table: its declared steps, in the order of their application."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StructField, StructType

from medallion_jobs.config import SilverTable
from medallion_jobs.errors import NoSuchColumn, UsageError
from medallion_jobs.lake.columns import OF_CHANGE, RESCUED, RESERVED
from medallion_jobs.lake.hidden_columns import (
    DUMP,
    PARKED,
    ROW,
    SINCE,
    UNDECIDED,
    UNREADABLE,
    hidden,
    is_hidden,
    row_type,
)
from medallion_jobs.lake.tables import schema as schemas
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.refine import lookup
from medallion_jobs.refine.transform import compute, rescued, shape
from medallion_jobs.refine.transform.step import Step, applied
from medallion_jobs.refine.write import dedupe, modes
from medallion_jobs.refine.write.snapshot import dump_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

LOOKUP_VERSIONS = "_lookup_versions"


@dataclass(frozen=True)
class Recipe:
    """All steps from a row of the source to the table's columns.

    Attributes:
        packages: the Python packages whose functions may be called.
        elsewhere: by table, the columns and SQL over them that it reads of this one.
    """

    table: SilverTable
    packages: Sequence[str] = ()
    elsewhere: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def shape_steps(self) -> list[Step]:
        return shape.steps(self.table, self.packages)

    @property
    def cast_steps(self) -> list[Step]:
        return compute.cast_steps(self.table)

    @property
    def column_steps(self) -> list[Step]:
        return compute.column_steps(self.table)

    def shaped(self, rows: DataFrame) -> DataFrame:
        """Rows of the source after the shape steps, with the hidden columns of `kept`."""
        return self.kept(applied(rows, self.shape_steps))

    def marks(self, source: DataFrame) -> DataFrame:
        """The marks of transactions in rows of the source: see `Opening.marks`."""
        return shape.opening_of(self.table).marks(shape.passing(source, self.table))

    def kept(self, rows: DataFrame) -> DataFrame:
        """Shaped rows with hidden columns: a copy of the row, and nulls for `since` and `id`."""
        own = [col(name) for name in rows.columns if not is_hidden(name)]
        hidden_columns = {
            ROW: F.struct(*own),
            SINCE: F.lit(None).cast("timestamp"),
            PARKED: F.lit(None).cast("string"),
        }
        if UNDECIDED not in rows.columns:
            hidden_columns[UNDECIDED] = F.lit(False)
        if UNREADABLE not in rows.columns:
            hidden_columns[UNREADABLE] = F.lit(None).cast("string")
        return rows.withColumns(hidden_columns)

    def computed(self, rows: DataFrame, dimensions: Sequence[lookup.Dimension]) -> DataFrame:
        """Shaped rows with their casts, lookups and computed columns."""
        rows = applied(rows, self.cast_steps)
        rows = rescued.with_misfits(rows, self.table, self.elsewhere)
        rows = lookup.join_all(rows, dimensions)
        rows = self.finished(applied(rows, self.column_steps), dimensions)
        if self.table.snapshot:
            rows = rows.withColumn(DUMP, dump_of(self.table.snapshot))
        return rows

    def finished(self, rows: DataFrame, dimensions: Sequence[lookup.Dimension]) -> DataFrame:
        """Computed rows with the columns that the engine adds: lookup versions, the row key."""
        if self._has_versions:
            rows = rows.withColumn(LOOKUP_VERSIONS, lookup.versions_column(dimensions))
        if self.table.dedupe and not self.table.dedupe.keys:
            key = dedupe.row_key(hidden(ROW), row_type(rows), technical=RESERVED)
            rows = rows.withColumn(dedupe.ROW_KEY, key)
        return rows

    def columns(self, rows: DataFrame) -> StructType:
        """The declared columns of the table, in order, with the types that computed rows have.

        Raises:
            UsageError: the rows lack a column, or a column has another type than declared.
        """
        if self.table.schema_:
            declared = schemas.parse_ddl(self.table.schema_)
            schemas.conform(rows, declared)
            return StructType([declared[name] for name in self._listed(declared.names)])
        has = {field.name: field for field in rows.schema if not is_hidden(field.name)}
        has.pop(dedupe.ROW_KEY, None)
        selected = self.table.selected or dict.fromkeys(self._without_technical(has), True)
        missing = [name for name, needed in selected.items() if needed and name not in has]
        if missing:
            raise NoSuchColumn(
                "the row",
                missing,
                list(has),
                code="no_such_column",
                untouched="nothing was written",
                next_step="fix `select` or `columns` of the table in the config",
            )
        return StructType([has[name] for name in self._listed(selected) if name in has])

    def _without_technical(self, names: Iterable[str]) -> list[str]:
        """Without columns that say where a change comes from, if changes are applied to a table.

        They would make two equal changes different.
        """
        changes = self.table.apply_changes
        if self.table.snapshot is None and (changes is None or changes.column_list):
            return list(names)
        technical, keys = {*OF_CHANGE, *RESERVED} - {RESCUED}, self.table.identity
        return [name for name in names if name.lower() not in technical or name in keys]

    def _listed(self, names: Iterable[str]) -> Sequence[str]:
        """Those of the columns that the column lists of `apply_changes` leave to the table."""
        changes = self.table.apply_changes
        return changes.columns_of(names) if changes else tuple(names)

    def written(self, rows: DataFrame) -> StructType:
        """The schema of the table, including the columns that its write mode adds."""
        own = self.columns(rows)
        if changes := self.table.apply_changes:
            for names in (changes.sequence_by, changes.except_column_list or ()):
                self.check_named(_spelled(names, rows.schema), rows.schema)
        for _, columns in self.columns_named(own):
            self.check_named(columns, own)
        extra = modes.extra_fields(self.table, own, rows.schema)
        surrogate = self.table.surrogate_key
        if surrogate is None:
            return StructType([*own.fields, *extra])
        if surrogate.lower() in (field.name.lower() for field in (*own, *extra)):
            raise UsageError(
                f"the table already has a column {surrogate}, the name of its surrogate key",
                code="surrogate_key_exists",
                untouched="nothing was written",
                next_step="give `surrogate_key` of the table another name in the config",
            )
        return StructType([StructField(surrogate, LongType()), *own.fields, *extra])

    def columns_named(self, own: StructType) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The config keys that name columns of the target table, each with these columns.

        Args:
            own: the declared columns of the table.
        """
        table = self.table
        if table.watermark:
            yield "watermark.column", (table.watermark.column,)
        if table.dedupe and table.dedupe.keys:
            yield "dedupe.keys", table.dedupe.keys
        if table.dedupe and table.dedupe.order_by:
            yield "dedupe.order_by", (table.dedupe.order_by,)
        if table.keys:
            yield "keys", table.keys
        if table.apply_changes:
            tracks = ("track_history_column_list", "track_history_except_column_list")
            for key in ("keys", "column_list", *tracks):
                names = getattr(table.apply_changes, key) or ()
                yield f"apply_changes.{key}", _spelled(names, own)
        if table.snapshot:
            for key in ("keys", "track_history_column_list", "track_history_except_column_list"):
                yield f"snapshot.{key}", getattr(table.snapshot, key) or ()
        if table.sequence:
            yield "sequence", (table.sequence,)
        for name, rule in table.expect.items():
            if rule.unique:
                yield f"expect.{name}.unique", rule.unique

    def kinds_of_change(self) -> Iterator[tuple[str, str]]:
        """The config keys that say what kind of change a row is, each with its SQL."""
        if self.table.deletes:
            yield "deletes.when", self.table.deletes.when
        if changes := self.table.apply_changes:
            yield "apply_changes.apply_as_deletes", changes.apply_as_deletes or "false"
            yield "apply_changes.apply_as_truncates", changes.apply_as_truncates or "false"

    def check_named(self, columns: Sequence[str], own: StructType) -> None:
        """Raises NoSuchColumn if the table lacks one of these columns."""
        if missing := [name for name in columns if name not in own.names]:
            raise NoSuchColumn(
                "the table",
                missing,
                own.names,
                code="no_such_column",
                untouched="nothing was written",
                next_step="add it to `select` or `schema` of the table in the config",
            )

    @property
    def _has_versions(self) -> bool:
        named = self.table.selected
        declared = schemas.parse_ddl(self.table.schema_).names if self.table.schema_ else ()
        return LOOKUP_VERSIONS in (*named, *declared)


def _spelled(names: Iterable[str], own: StructType) -> tuple[str, ...]:
    """The names as the columns have them: letter case may differ."""
    known = {name.lower(): name for name in own.names}
    return tuple(known.get(name.lower(), name) for name in names)
