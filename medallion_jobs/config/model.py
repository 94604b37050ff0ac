"""The typed, frozen model of a pipeline's config.

A key that is a reserved name in Python or pydantic has a trailing underscore here
(`from_`, `schema_`); in YAML it has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import TopologicalSorter
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    ModelWrapValidatorHandler,
    Tag,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from medallion_jobs.config import spark_conf
from medallion_jobs.config.checks import findings
from medallion_jobs.config.fields import (
    AllAside,
    Count,
    Folder,
    Identifier,
    Master,
    Memory,
    SavedSql,
    SparkValue,
)
from medallion_jobs.config.frozen import Frozen
from medallion_jobs.config.gold import GoldTable
from medallion_jobs.config.kafka_source import KafkaSource
from medallion_jobs.config.layout import Layout
from medallion_jobs.config.names import TableRef, folder
from medallion_jobs.config.silver import SilverTable
from medallion_jobs.config.source import FORMATS, FileSource
from medallion_jobs.config.trigger import Trigger
from medallion_jobs.storage import S3, Location


class Storage(Frozen):
    """Where the tables and the engine's state are stored."""

    root: Folder = Field(
        default="./lake",
        description="Folder of all tables (ROOT/LAYER/TABLE) and of the engine's state.",
    )


class Landing(Frozen):
    """Where files arrive."""

    root: Folder = Field(
        default="./landing", description="Folder with a subfolder for each bronze table."
    )


class SparkSettings(Frozen):
    """How the Spark session is started."""

    master: Master | None = Field(
        default=None, description="Spark master; unset, the one of spark-submit or this machine."
    )
    shuffle_partitions: Count = Field(
        default=2,
        description="Partitions of joins and aggregations; a table's first batch fixes it.",
    )
    driver_memory: Memory | None = Field(
        default=None, description="Heap size of the driver; unset, chosen at session start."
    )
    conf: dict[str, SparkValue] = Field(
        default={},
        description="More Spark settings, from the list of safe ones.",
        title=f"a mapping of {spark_conf.ALLOWED}",
    )


# The kinds of a source, by the names of their classes: so the JSON Schema has them, too.
_FILES, _TOPICS = "FileSource", "KafkaSource"


def _kind_of_source(value: object) -> str:
    """Which source is meant. With an unknown format too, so that other mistakes are found."""
    given: Mapping[str, object] = value if isinstance(value, Mapping) else {}
    form = given.get("format", value.format if isinstance(value, KafkaSource) else None)
    is_kafka = form == "kafka" or (form not in FORMATS and {"servers", "topics"} & given.keys())
    return _TOPICS if is_kafka else _FILES


class BronzeTable(Frozen):
    """A table of rows as they arrived, in files or in Kafka topics; append-only."""

    source: Annotated[
        Annotated[FileSource, Tag(_FILES)] | Annotated[KafkaSource, Tag(_TOPICS)],
        Discriminator(_kind_of_source),
    ] = Field(description="What to read: files, or topics of Kafka.")
    on_all_aside: AllAside | None = Field(
        default=None, description="Overrides the pipeline's on_all_aside."
    )
    layout: Layout = Field(
        default_factory=Layout, description="Partitions, clustering and properties of the table."
    )


class SavedQuery(Frozen):
    """A query with a name."""

    sql: SavedSql = Field(description="DuckDB SQL over the tables of the lake.")
    description: str | None = Field(default=None, description="What the query answers.")


def _query_alone(value: object) -> object:
    return {"sql": value} if isinstance(value, str) else value


class Pipeline(Frozen):
    """A pipeline: all settings of its jobs.

    Raises:
        pydantic.ValidationError: with every mistake; `load` raises them as a `ConfigError`.
    """

    pipeline: Identifier = Field(description="The pipeline's name.")
    storage: Storage = Field(default_factory=Storage, description="Where tables are stored.")
    landing: Landing = Field(
        default_factory=Landing, description="Where files arrive, a folder for each bronze table."
    )
    spark: SparkSettings = Field(
        default_factory=SparkSettings, description="Settings of the Spark session."
    )
    trigger: Trigger = Field(default_factory=Trigger, description="When batches start.")
    on_all_aside: AllAside = Field(
        default="warn",
        description="What happens if all rows of a batch (of a table's first batch: more than "
        "half) are quarantined, held, dropped or filtered: warn at the end of the run, or fail "
        "the batch.",
    )
    python_packages: tuple[Identifier, ...] = Field(
        default=(),
        description="Packages whose functions a `transform` may name; no other code is run.",
        title="a list of package names",
    )
    bronze: dict[Identifier, BronzeTable] = Field(
        default={}, description="Tables of rows as they arrived, by name."
    )
    silver: dict[Identifier, SilverTable] = Field(
        default={}, description="Tables of cleaned and enriched rows, by name."
    )
    gold: dict[Identifier, GoldTable] = Field(
        default={}, description="Tables of aggregates, by name."
    )
    queries: dict[
        Identifier,
        Annotated[
            SavedQuery, BeforeValidator(_query_alone, json_schema_input_type=str | SavedQuery)
        ],
    ] = Field(
        default={},
        description="Queries for `medallion query --saved`, by name.",
        title="a mapping of names to SQL",
    )

    def layout_of(self, table: TableRef) -> Layout:
        """The layout of a table.

        Raises:
            KeyError: the pipeline has no such table.
        """
        tables: Mapping[str, BronzeTable | SilverTable | GoldTable] = getattr(self, table.layer)
        return tables[table.name].layout

    def on_all_aside_of(self, table: TableRef) -> str:
        """What happens if most rows of a batch are not in the table: `warn` or `fail`.

        Raises:
            KeyError: the pipeline has no such table.
        """
        tables: Mapping[str, BronzeTable | SilverTable] = getattr(self, table.layer)
        return tables[table.name].on_all_aside or self.on_all_aside

    @property
    def changes_read(self) -> frozenset[str]:
        """The silver tables whose changes a gold table follows, by name."""
        return frozenset(t.from_.name for t in self.gold.values() if t.mode == "incremental")

    def silver_in_order(self) -> tuple[str, ...]:
        """The silver tables, each after the silver tables that it reads or looks up."""
        reads = {
            name: [
                used.name
                for used in (table.from_, *table.dimensions)
                if used.layer == "silver" and used.name in self.silver
            ]
            for name, table in self.silver.items()
        }
        return tuple(TopologicalSorter(reads).static_order())

    @property
    def file_sources(self) -> dict[str, FileSource]:
        """The sources of the bronze tables that read files, by table."""
        sources = ((name, table.source) for name, table in self.bronze.items())
        return {name: source for name, source in sources if isinstance(source, FileSource)}

    @property
    def kafka_sources(self) -> dict[str, KafkaSource]:
        """The sources of the bronze tables that read Kafka topics, by table."""
        sources = ((name, table.source) for name, table in self.bronze.items())
        return {name: source for name, source in sources if isinstance(source, KafkaSource)}

    def landing_paths(self, bronze_table: str) -> tuple[str, ...]:
        """The folders, or patterns of folders, whose files `bronze_table` reads.

        Each is an absolute local path, or the URI of another file system.

        Raises:
            KeyError: the pipeline has no such bronze table, or it reads no files.
        """
        own = self.file_sources[bronze_table].path
        return own or (str(self.landing_root / bronze_table),)

    def landing_path(self, bronze_table: str) -> Location:
        """The first folder that `bronze_table` reads; the generator writes its files there.

        Raises:
            KeyError: the pipeline has no such bronze table, or it reads no files.
        """
        return folder(self.landing_paths(bronze_table)[0], self.store)

    @property
    def landing_root(self) -> Location:
        """Where files arrive, as an absolute folder."""
        return folder(self.landing.root, self.store)

    @property
    def has_objects(self) -> bool:
        """Whether tables or files are in an object store."""
        sources = (path for source in self.file_sources.values() for path in source.path or ())
        folders = (self.storage.root, self.landing.root, *sources)
        return any(path.startswith("s3a://") for path in folders)

    @property
    def store(self) -> S3:
        """The object store of `s3a://` folders."""
        return S3.of(self.spark.conf)

    @property
    def state_path(self) -> Location:
        """The absolute folder of the engine's state: `<storage.root>/_medallion`."""
        return self._storage / "_medallion"

    @property
    def _storage(self) -> Location:
        return folder(self.storage.root, self.store)

    @model_validator(mode="wrap")
    @classmethod
    def _with_findings(cls, data: Any, validate: ModelWrapValidatorHandler[Pipeline]) -> Pipeline:
        # Checks between keys run even when single keys are wrong, so that one run reports
        # every mistake.
        errors = list(findings(data)) if isinstance(data, Mapping) else []
        try:
            pipeline = validate(data)
        except ValidationError as error:
            errors += [
                InitErrorDetails(
                    type=PydanticCustomError(found["type"], found["msg"], found.get("ctx")),
                    loc=found["loc"],
                    input=None,
                )
                for found in error.errors(include_url=False)
            ]
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors, hide_input=True)
        return pipeline
