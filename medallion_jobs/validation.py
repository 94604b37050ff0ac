"""Checks a config with Spark itself: SQL parses, columns exist, types are as declared.

Builds every table from empty DataFrames, in the order in which they read each other. Starts
and writes nothing. A dimension that does not exist yet is assumed to have the columns that the
lookup names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from pyspark.errors import PySparkException
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from medallion_jobs.aggregate import Aggregation
from medallion_jobs.autoloader.schemas.columns import BronzeColumns
from medallion_jobs.autoloader.schemas.registry import Registry
from medallion_jobs.config import (
    ConfigError,
    Expectation,
    GoldTable,
    KafkaSource,
    Loaded,
    Origin,
    Problem,
    SilverTable,
    TableRef,
)
from medallion_jobs.errors import UsageError
from medallion_jobs.kafkaloader import decoders
from medallion_jobs.kafkaloader.columns import of_table as of_topics
from medallion_jobs.lake import tables
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import layout as layouts
from medallion_jobs.lake.tables import schema as schemas
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.refine.expectations import broken_rules, rules
from medallion_jobs.refine.lookup import Dimension, join_all, member
from medallion_jobs.refine.transform.recipe import Recipe
from medallion_jobs.refine.transform.step import Step
from medallion_jobs.sinks import postgres

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def check(spark: SparkSession, loaded: Loaded) -> dict[TableRef, StructType]:
    """The schema that each table of the pipeline will have.

    Leaves out tables that read a bronze table whose columns are not inferred yet.

    Raises:
        ConfigError: every mistake that Spark finds, with its file and line.
    """
    checker = _Checker(spark, loaded)
    checker.check_all()
    if checker.problems:
        raise ConfigError(checker.problems, next_step="fix them, then: medallion validate")
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
        for name in self._config.silver_in_order():
            # A table whose source could not be built is not checked: one mistake, one problem.
            if self._config.silver[name].from_ in self.frames:
                self._silver(name)
        for name, table in self._config.gold.items():
            if table.from_ in self.frames:
                self._gold(name)

    def _bronze(self, name: str) -> None:
        source, here = self._config.bronze[name].source, f"bronze.{name}.source"
        if isinstance(source, KafkaSource):
            self._topics(name, source)
            return
        registry = Registry(TablePaths(self._config, TableRef("bronze", name)).schemas)
        of_files = BronzeColumns(self._spark, source, registry, has_versions=source.keeps_versions)
        with self._reported_at(f"{here}.schema_hints", source.schema_hints or ""):
            of_files.hinted(StructType())
        with self._reported_at(f"{here}.schema", source.schema_ or ""):
            told = of_files.declared_or_recorded()
            if told is not None:
                layouts.refuse_names(f"bronze.{name}", told)
                self._build(TableRef("bronze", name), of_files.table_of(told))

    def _topics(self, name: str, source: KafkaSource) -> None:
        ref, here = TableRef("bronze", name), f"bronze.{name}.source"
        with self._reported_at(here, source.subscription):
            places = TablePaths(self._config, ref)
            kinds = decoders.kinds_without_cluster(self._spark, source, places)
            if kinds is not None:
                self._build(ref, of_topics(source, kinds))

    def _silver(self, name: str) -> None:
        table, here = self._config.silver[name], f"silver.{name}"
        recipe = Recipe(table, self._config.python_packages)
        known = len(self.problems)
        shaped = self._after(recipe.shape_steps, self.frames[table.from_], here)
        if len(self.problems) > known:
            return
        rows = self._after(recipe.cast_steps, recipe.kept(shaped), here)
        rows, dimensions = self._looked_up(table, rows, here)
        rows = self._after(recipe.column_steps, rows, here)
        for rule, expectation in table.expect.items():
            with self._reported_at(f"{here}.expect.{rule}", rules.described(expectation)):
                self._check_expectation(rows, rule, expectation)
        for path, sql in recipe.kinds_of_change():
            with self._reported_at(f"{here}.{path}", sql):
                rows.where(sql)
        if len(self.problems) > known:
            return
        key = "schema" if table.schema_ else "select"
        with self._reported_at(f"{here}.{key}", table.schema_ or ", ".join(table.select or ())):
            finished = recipe.finished(rows, dimensions)
            own = recipe.columns(finished)
            layouts.refuse_names(here, own)
            if table.changes_rows and name in self._config.changes_read:
                tables.refuse_unmergeable(here, own.names)
        if len(self.problems) > known:
            return
        for path, columns in recipe.columns_named(own):
            with self._reported_at(f"{here}.{path}", ", ".join(columns)):
                recipe.check_named(columns, own)
        if len(self.problems) == known:
            written = recipe.written(finished)
            if table.unknown_member:
                with self._reported_at(f"{here}.unknown_member", ", ".join(table.unknown_member)):
                    member(table, written)
            self._build(TableRef("silver", name), written)

    def _after(self, steps: Sequence[Step], rows: DataFrame, here: str) -> DataFrame:
        """The rows after every step that works; each one that fails becomes a problem."""
        for step in steps:
            with self._reported_at(f"{here}.{step.key}", step.text):
                rows = step.apply(rows)
        return rows

    def _looked_up(
        self, table: SilverTable, rows: DataFrame, here: str
    ) -> tuple[DataFrame, list[Dimension]]:
        types = {}
        if table.schema_:
            with self._reported_at(f"{here}.schema", table.schema_):
                types = {f.name: f.dataType for f in schemas.parse_ddl(table.schema_)}
        joined, dimensions = rows, list[Dimension]()
        for place, lookup in enumerate(table.lookups):
            with self._reported_at(f"{here}.lookups[{place}]", str(lookup.table)):
                frame = self._table(lookup.table)
                found = (
                    Dimension.placeholder(self._spark, lookup, joined, types)
                    if frame is None
                    else Dimension.of(lookup, frame)
                )
                joined = join_all(rows, [*dimensions, found])
                dimensions.append(found)
        return joined, dimensions

    def _check_expectation(self, rows: DataFrame, name: str, rule: Expectation) -> None:
        references = {}
        if rule.references:
            keys = self._table(rule.references.table)
            if keys is None:
                return
            references = {name: keys.select(*map(col, rule.references.on))}
        now = datetime.now(timezone.utc)
        broken_rules.judged(rows, {name: rule}, moment=now, references=references, existing=None)

    def _table(self, ref: TableRef) -> DataFrame | None:
        """A table as this pipeline would build it, else an existing one, else None."""
        if ref in self.frames:
            return self.frames[ref]
        path = TablePaths(self._config, ref).data
        if tables.snapshot(path) is None:
            return None
        return self._spark.read.format("delta").load(str(path))

    def _gold(self, name: str) -> None:
        table, here = self._config.gold[name], f"gold.{name}"
        rows, known = self.frames[table.from_], len(self.problems)
        self._check_groups(table, rows, here)
        if len(self.problems) > known:
            return
        aggregation = Aggregation(table)
        placed = aggregation.placed(rows)
        for name_of_measure, measure in table.measures.items():
            with self._reported_at(f"{here}.measures.{name_of_measure}", measure.of):
                single = table.model_copy(update={"measures": {name_of_measure: measure}})
                Aggregation(single).aggregated(placed, streaming=table.mode == "complete")
        if len(self.problems) > known:
            return
        groups = aggregation.aggregated(placed)
        for column, sql in table.columns.items():
            with self._reported_at(f"{here}.columns.{column}", sql):
                groups = aggregation.computed(groups, column)
        if len(self.problems) == known:
            schema = aggregation.finished(groups).schema
            with self._reported_at(f"{here}.measures", ", ".join(table.measures)):
                layouts.refuse_names(here, schema)
            with self._reported_at(f"{here}.sinks", ""):
                postgres.Loader(self._config, TableRef("gold", name)).check_columns(schema)
            self._build(TableRef("gold", name), schema)

    def _check_groups(self, table: GoldTable, rows: DataFrame, here: str) -> None:
        if table.where:
            with self._reported_at(f"{here}.where", table.where):
                Aggregation(table.model_copy(update={"period": None})).placed(rows)
        if table.group_by:
            with self._reported_at(f"{here}.group_by", ", ".join(table.group_by)):
                rows.groupBy(*map(col, table.group_by)).count()
        if table.period:
            with self._reported_at(f"{here}.period.of", table.period.of):
                Aggregation(table.model_copy(update={"where": None})).placed(rows)
            with self._reported_at(f"{here}.time_zone", table.time_zone):
                # Java knows fewer time zones than Python, which checked the config.
                now = F.from_utc_timestamp(F.current_timestamp(), table.time_zone)
                self._spark.sql("SELECT 1").select(now).collect()

    def _build(self, ref: TableRef, schema: StructType) -> None:
        self.frames[ref] = self._spark.createDataFrame([], schema)
        layout, here = self._config.layout_of(ref), f"{ref}.layout"
        for key, why in layouts.problems(schema, layout):
            self._add(f"{here}.{key}", ", ".join(getattr(layout, key) or ()), why)
        for name, sql in layout.checks.items():
            with self._reported_at(f"{here}.checks.{name}", sql):
                self.frames[ref].where(sql)

    @contextmanager
    def _reported_at(self, path: str, value: str) -> Iterator[None]:
        """Turns an error inside the block into a problem of the key at `path`."""
        try:
            yield
        except PySparkException as error:
            self._add(path, value, error.getMessage() or str(error))
        except UsageError as error:
            self._add(path, value, error.what)

    def _add(self, path: str, value: str, message: str) -> None:
        origin = self._origins.get(path) or self._nearest_origin(path)
        first = " ".join(line.strip() for line in message.strip().splitlines()[:6] if line.strip())
        self.problems.append(Problem(origin, path, first, value))

    def _nearest_origin(self, path: str) -> Origin:
        """For a mapping or a list item: the file and line of its first value."""
        inside = path.replace("[", ".").replace("]", "") + "."
        found = [origin for key, origin in self._origins.items() if key.startswith(inside)]
        with_line = (origin for origin in found if origin.line)
        return next(with_line, found[0] if found else Origin("config"))
