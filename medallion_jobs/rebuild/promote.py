"""Promotion of columns of a bronze table: values leave `_rescued_data` for columns, by one commit.

The data files with such rows are written again beside the table, under the lock of its query, and
take the place of the old ones. The rows stay the same rows: those that stream the table do not
read them again. The schema registry follows the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StringType, StructField, StructType, TimestampNTZType

from medallion_jobs import storage
from medallion_jobs.autoloader import to_path
from medallion_jobs.autoloader.schemas import hints, promotion
from medallion_jobs.autoloader.schemas.columns import BronzeColumns
from medallion_jobs.autoloader.schemas.promotion import Counts, Promoted
from medallion_jobs.autoloader.schemas.registry import Registry
from medallion_jobs.checkpoint import QueryFolder, manifest
from medallion_jobs.checkpoint.journal import SLOT
from medallion_jobs.checkpoint.offsets import DeltaOffsets
from medallion_jobs.config import FileSource, Pipeline, TableRef
from medallion_jobs.errors import UsageError
from medallion_jobs.lake import paths, tables
from medallion_jobs.lake.columns import RESCUED, RESCUED_FILE, RESERVED
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import Snapshot, adopt
from medallion_jobs.lake.tables.sql import col, quoted, type_text
from medallion_jobs.lake.values.type_walk import has as contains
from medallion_jobs.rebuild import common
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

_UNTOUCHED = "the table, its recorded schemas and its files; nothing was written"
_MOST_KEYS = 10
# Has a space, as no column of a table has.
_FILE = "data file"
_NTZ = "delta.feature.timestampNtz"


@dataclass(frozen=True)
class Promotion:
    """A promotion of columns of one bronze table of files.

    Attributes:
        wanted: the columns, as paths of hints, each with its type; None for the one that the
            config gives it, else string.

    Raises:
        UsageError: the table was never written; a column cannot be promoted, or not so.
    """

    config: Pipeline
    name: str
    wanted: Mapping[hints.Path, str | None]
    spark: SparkSession

    @property
    def ref(self) -> TableRef:
        return TableRef("bronze", self.name)

    @cached_property
    def columns(self) -> list[Promoted]:
        """The columns of the table that change, or take values of `_rescued_data`."""
        for path in self.wanted:
            self._refuse_name(path)
        gets = self._typed(self._recorded)
        self._refuse_other_config(gets)
        of_table = {field.name: field.dataType for field in self._table.schema}
        found = [
            Promoted(
                name,
                of_table.get(name),
                gets[name].dataType,
                self._source.format,
                self._source.options,
            )
            for name in dict.fromkeys(path[0] for path in self.wanted)
        ]
        for one in found:
            if reason := one.reason_against():
                raise self._refused(f"{one.name} {one.gets.simpleString()}", reason)
        return found

    @property
    def is_retyping(self) -> bool:
        """Whether all data files are written again, with another type of a column."""
        return any(one.is_retyped for one in self.columns)

    @cached_property
    def counts(self) -> list[Counts]:
        """What becomes of the rows, for each of the columns."""
        return promotion.counted(self._table, self.columns)

    @property
    def readers(self) -> list[TableRef]:
        """The tables whose queries stream this one."""
        sources = paths.sources(self.config).items()
        return [reader for reader, source in sources if source == self._places.data]

    def check(self) -> None:
        """Refuses what would lose a value, or change nothing.

        Raises:
            UsageError: with the reason.
        """
        for one, counts in zip(self.columns, self.counts, strict=True):
            what = f"{one.name} {one.gets.simpleString()}"
            if counts.lost:
                raise self._refused(
                    what, f"{counts.lost:,} of its values would be another one in this type"
                )
            if counts.put_back and not self._table.schema[one.name].nullable:
                raise self._refused(
                    what, f"{counts.put_back:,} texts do not fit, and the column is NOT NULL"
                )
            if one.has is None and not counts.rescued:
                keys = ", ".join(map(quoted, self._keys())) or "none"
                raise self._refused(
                    what, f"no row has it in `{RESCUED}`; most frequent there are: {keys}"
                )

    def carry_out(self, reason: str, *, patience: float) -> int:
        """Promotes the columns; returns how many data files were written again.

        Args:
            patience: seconds to wait for a run of the table's query.

        Raises:
            LockHeld: such a run goes on.
            UsageError: as `check`; or a reader has not read all rows in their old types.
        """
        # What is known before the lock is held may be old afterwards.
        before = Promotion(self.config, self.name, self.wanted, self.spark)
        readers = self.readers if before.is_retyping else ()
        with common.held(self.config, self.ref, patience, readers):
            self._registry.settle(self._snapshot.schema)
            self.check()
            for reader in readers:
                self._refuse_behind(reader)
            return self._write(reason)

    def _write(self, reason: str) -> int:
        now = common.journal_of(self.config, self.ref, reason)
        before = common.rows(self.spark, self._places.data)
        told = ", ".join(f"{one.name} {one.gets.simpleString()}" for one in self.columns)
        beside = TablePaths(self.config, self.ref, SLOT).data
        files = self._files_to_write
        self._clear(beside)
        if files:
            self._write_beside(beside, files)
        schema = self._schema
        if contains(schema, TimestampNTZType) and not contains(
            self._table.schema, TimestampNTZType
        ):
            tables.set_properties(self.spark, self._places.data, {_NTZ: "supported"})
        recorded = self._typed(self._recorded)
        announced = self._registry.announce(recorded.jsonValue(), "promoted", generation=now.before)
        version = adopt.rearrange(
            self.spark,
            beside if files else None,
            self._places.data,
            removed=list(map(to_path, files)),
            schema=schema.jsonValue(),
            notes={"promoted": told, "reason": reason, "by": now.by},
        )
        self._registry.record(announced)
        known = {"part": f"promoted: {told}", "number": version, "rows_before": before}
        common.tell(self.config, self.ref, self.spark, now.model_copy(update=known))
        self._clear(beside)
        return len(files)

    def _write_beside(self, beside: Location, files: Sequence[str]) -> None:
        rows = self._table
        if not self.is_retyping:
            rows = rows.where(self._file.isin(list(files)))
        written = promotion.promoted(rows, self.columns).write.format("delta")
        written.partitionBy(*self._snapshot.partitions).save(str(beside))

    @cached_property
    def _files_to_write(self) -> list[str]:
        """The URIs of the data files with rows that change."""
        rows = self._table.withColumn(_FILE, self._file)
        if not self.is_retyping:
            rows = promotion.changed(rows, self.columns)
        return [path for (path,) in rows.select(_FILE).distinct().collect()]

    @property
    def _schema(self) -> StructType:
        """The columns that the table gets, with all that its metadata says of them."""
        schema = StructType.fromJson(self._snapshot.schema)
        for one in self.columns:
            if one.has is None:
                schema = StructType([*schema.fields, StructField(one.name, one.gets)])
            elif one.has != one.gets:
                schema = StructType([_retyped(f, one) if f.name == one.name else f for f in schema])
        return schema

    def _typed(self, recorded: StructType) -> StructType:
        """The recorded columns of the files, with the wanted ones as they are to be."""
        by_config = self._by_config(recorded)
        wanted = [
            hints.Hint(path, kind or _type_at(by_config, path))
            for path, kind in self.wanted.items()
        ]
        try:
            return hints.apply(recorded, hints.types(wanted))
        except UsageError as error:
            raise self._refused("a column", error.what.removeprefix("schema_hints: ")) from error

    def _refuse_name(self, path: hints.Path) -> None:
        name, known = path[0], self._table.columns
        if name in (*RESERVED, RESCUED_FILE, *(self._source.partition_columns or ())):
            raise self._refused(quoted(name), "its values do not come from inside the files")
        if len(path) > 1 and name not in known:
            raise self._refused(
                hints.path_text(path),
                f"there is no column {quoted(name)}; promote it as a whole, such as "
                f"'{quoted(name)}:struct<{'.'.join(map(quoted, path[1:]))}: string>'",
            )
        if name in self._snapshot.partitions:
            raise self._refused(quoted(name), "the table is partitioned by it")
        if (self._snapshot.properties.get("delta.columnMapping.mode") or "none") != "none":
            raise self._refused(quoted(name), "the table maps the names of its columns")

    def _refuse_other_config(self, gets: StructType) -> None:
        """Refuses columns that the next start would not take, since the config says otherwise."""
        after = {field.name: field.dataType for field in self._by_config(gets)}
        for name in dict.fromkeys(path[0] for path in self.wanted):
            wanted = gets[name].dataType
            if after.get(name) != wanted:
                declared = f"{quoted(name)} {type_text(wanted.jsonValue())}"
                key = "schema" if self._source.schema_ else "schema_hints"
                says = after[name].simpleString() if name in after else "nothing"
                raise UsageError(
                    f"{self.ref}: the config says otherwise of {quoted(name)}: {says}",
                    code="promotion_against_config",
                    untouched=_UNTOUCHED,
                    next_step=f"write `{declared}` into `{key}` of the source, and type the same "
                    "command again before the next run",
                )

    def _refuse_behind(self, reader: TableRef) -> None:
        """Refuses another type while a reader has rows in the old type before it."""
        folder = QueryFolder.of(TablePaths(self.config, reader))
        kept = manifest.read(folder)
        if kept is None or kept.current.binding is None:
            return
        checkpoint = folder.checkpoint(kept.current.number)
        left = DeltaOffsets(self._places.data).backlog(checkpoint)
        if left is None or left.files:
            raise UsageError(
                f"{self.ref} cannot get another type of a column yet: {reader} streams it, and "
                "has not read all of its rows",
                code="promotion_before_readers",
                untouched=_UNTOUCHED,
                next_step=f"medallion run --select {reader}; then type the same command again",
            )

    def _refused(self, what: str, reason: str) -> UsageError:
        return UsageError(
            f"{self.ref}: {what} cannot be promoted: {reason}",
            code="promotion_not_possible",
            untouched=_UNTOUCHED,
            next_step="promote another column or another type (`medallion schema show "
            f"{self.ref}`); what only the files have, a load of all files into another lake reads: "
            "medallion run --config FILE --set storage.root=./another-lake",
        )

    def _keys(self) -> list[str]:
        """The most frequent keys of `_rescued_data`."""
        keys = self._table.select(F.explode(F.json_object_keys(col(RESCUED))).alias("key"))
        counted = keys.where(F.col("key") != RESCUED_FILE).groupBy("key").count()
        most = counted.orderBy(F.desc("count"), "key").limit(_MOST_KEYS).collect()
        return [key for key, _ in most]

    def _by_config(self, recorded: StructType) -> StructType:
        columns = BronzeColumns(self.spark, self._source, self._registry)
        return columns.by_config(recorded) or recorded

    @cached_property
    def _recorded(self) -> StructType:
        """The columns of the files, as the table has them."""
        newest = self._registry.settled(self._snapshot.schema)
        if newest is None:
            raise common.never_written(self.ref)
        return StructType.fromJson(dict(newest.schema))

    @cached_property
    def _registry(self) -> Registry:
        return Registry(self._places.schemas)

    @cached_property
    def _source(self) -> FileSource:
        return self.config.file_sources[self.name]

    @property
    def _places(self) -> TablePaths:
        return TablePaths(self.config, self.ref)

    @cached_property
    def _snapshot(self) -> Snapshot:
        found = tables.snapshot(self._places.data)
        if found is None:
            raise common.never_written(self.ref)
        return found

    @cached_property
    def _table(self) -> DataFrame:
        """The table as the promotion finds it."""
        read = self.spark.read.format("delta").option("versionAsOf", self._snapshot.version)
        return read.load(str(self._places.data))

    @property
    def _file(self) -> Column:
        return self._table.metadataColumn("_metadata")["file_path"]

    def _clear(self, beside: Location) -> None:
        if beside.exists():
            storage.remove_all(beside)


def _retyped(field: StructField, column: Promoted) -> StructField:
    # What Delta notes of wider types is of the old type.
    kept = {k: v for k, v in field.metadata.items() if not k.startswith("delta.type")}
    return StructField(field.name, column.gets, field.nullable, kept)


def _type_at(columns: StructType, path: hints.Path) -> str:
    """The type that columns have at a path, as DDL; string if they have nothing there."""
    kind: DataType | None = columns
    for part in path:
        has_it = isinstance(kind, StructType) and part in kind.names
        kind = kind[part].dataType if isinstance(kind, StructType) and has_it else None
    return type_text((kind or StringType()).jsonValue())
