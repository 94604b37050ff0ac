"""A config held against Spark itself: SQL parsed, columns known, types as declared.

Every table is built from empty frames, in the order in which they read one another. Nothing
is started or written; a dimension that does not exist yet is taken for one that has the
columns that the lookup names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyspark.errors import PySparkException
from pyspark.sql import functions as F  # noqa: N812 (the field's own name for it)
from pyspark.sql.types import StructType

from medallion_jobs import aggregate, places, tables
from medallion_jobs.autoloader.schemas.columns import BronzeColumns
from medallion_jobs.autoloader.schemas.registry import Registry
from medallion_jobs.config import ConfigError, Loaded, Lookup, Origin, Problem, TableRef
from medallion_jobs.errors import UsageError
from medallion_jobs.tables import schema as schemas

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def check(spark: SparkSession, loaded: Loaded) -> dict[TableRef, StructType]:
    """The schema that each table of the pipeline will have.

    Tables below a bronze table whose columns are yet to be inferred are left out.

    Raises:
        ConfigError: every mistake that Spark finds, with the line that made it.
    """
    checker = _Checker(spark, loaded)
    checker.check_all()
    if checker.problems:
        raise ConfigError(checker.problems, next_step="mend them, then: medallion validate")
    return {ref: frame.schema for ref, frame in checker.frames.items()}


class _Checker:
    def __init__(self, spark: SparkSession, loaded: Loaded) -> None:
        self._spark = spark
        self._config = loaded.pipeline
        self._origins = loaded.origins
        self.problems: list[Problem] = []
        self.frames: dict[TableRef, DataFrame] = {}

    def check_all(self) -> None:
        for name in self._config.bronze:
            self._bronze(name)
        waiting = list(self._config.silver)
        while waiting:
            # A table whose source could not be built is not judged: one mistake, one problem.
            ready = [n for n in waiting if self._config.silver[n].from_ in self.frames]
            if not ready:
                break
            for name in ready:
                self._silver(name)
                waiting.remove(name)
        for name, table in self._config.gold.items():
            if table.from_ in self.frames:
                self._gold(name)

    def _bronze(self, name: str) -> None:
        source, here = self._config.bronze[name].source, f"bronze.{name}.source"
        registry = Registry(places.schemas(self._config, name))
        columns = BronzeColumns(self._spark, source, registry, tells_versions=source.keeps_versions)
        with self._blamed_on(f"{here}.schema_hints", source.schema_hints or ""):
            columns.hinted(StructType())
        with self._blamed_on(f"{here}.schema", source.schema_ or ""):
            told = columns.told()
            if told is not None:
                self._build(TableRef("bronze", name), columns.table_of(told))

    def _silver(self, name: str) -> None:
        table, here = self._config.silver[name], f"silver.{name}"
        known = len(self.problems)
        declared = None
        with self._blamed_on(f"{here}.schema", table.schema_):
            declared = schemas.parse_ddl(table.schema_)
        rows = self.frames[table.from_]
        for place, one in enumerate(table.lookups):
            with self._blamed_on(f"{here}.lookups[{place}].on", ", ".join(one.on)):
                rows = rows.join(self._dimension(one, rows, declared), list(one.on), one.how)
        computed = {}
        for column, sql in table.columns.items():
            with self._blamed_on(f"{here}.columns.{column}", sql):
                rows.select(F.expr(sql))
                computed[column] = F.expr(sql)
        if declared is None or len(self.problems) > known:
            return
        with self._blamed_on(f"{here}.schema", table.schema_):
            schemas.conform(rows.withColumns(computed), declared)
            self._build(TableRef("silver", name), declared)

    def _gold(self, name: str) -> None:
        table, here = self._config.gold[name], f"gold.{name}"
        known = len(self.problems)
        rows = self.frames[table.from_]
        with self._blamed_on(f"{here}.group_by", ", ".join(table.group_by)):
            rows.groupBy(*table.group_by).count()
        if len(self.problems) > known:
            return
        for measure, sql in table.measures.items():
            with self._blamed_on(f"{here}.measures.{measure}", sql):
                aggregate.by_group(rows, table.group_by, {measure: sql})
        if len(self.problems) == known:
            gold = aggregate.by_group(rows, table.group_by, table.measures)
            self._build(TableRef("gold", name), gold.schema)

    def _dimension(self, lookup: Lookup, rows: DataFrame, declared: StructType | None) -> DataFrame:
        """The dimension's columns, from itself or, where it is not there yet, from its use."""
        path = self._config.table_path(lookup.table)
        wanted = [*lookup.on, *(name for name in lookup.take if name not in lookup.on)]
        if tables.snapshot(path) is not None:
            return self._spark.read.format("delta").load(str(path)).select(*wanted)
        kinds: Mapping[str, str] = {
            field.name: field.dataType.simpleString() for field in [*rows.schema, *(declared or [])]
        }
        ddl = ", ".join(f"`{name}` {kinds.get(name, 'string')}" for name in wanted)
        return self._spark.createDataFrame([], schemas.parse_ddl(ddl))

    def _build(self, ref: TableRef, schema: StructType) -> None:
        self.frames[ref] = self._spark.createDataFrame([], schema)

    @contextmanager
    def _blamed_on(self, path: str, value: str) -> Iterator[None]:
        """Turns what Spark says into a problem of the key at `path`."""
        try:
            yield
        except PySparkException as error:
            said = error.getMessage() or str(error)
            self._add(path, value, said)
        except UsageError as error:
            self._add(path, value, error.what)

    def _add(self, path: str, value: str, said: str) -> None:
        origin = self._origins.get(path) or self._nearest_origin(path)
        first = " ".join(line.strip() for line in said.strip().splitlines()[:6] if line.strip())
        self.problems.append(Problem(origin, path, first, value))

    def _nearest_origin(self, path: str) -> Origin:
        """A list's own items have no origin of their own; the list's first one tells the line."""
        found: Callable[[str], bool] = lambda key: key.startswith(path)  # noqa: E731
        return next((self._origins[key] for key in self._origins if found(key)), Origin("config"))
