"""Why a run would refuse a table, as far as this is known without a JVM: every reason."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from pyspark.sql.types import StructField, StructType

from medallion_jobs.autoloader.loading.sinks import refuse_unfit
from medallion_jobs.checkpoint import QueryFolder, manifest, start_checks
from medallion_jobs.config import Pipeline, SilverTable, TableRef
from medallion_jobs.engine.stream import Stream
from medallion_jobs.errors import MedallionError, UsageError, rebuild_command
from medallion_jobs.lake import tables
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import layout as layouts
from medallion_jobs.plan.columns import LakeColumns, left, still_read
from medallion_jobs.refine import lookup
from medallion_jobs.refine.target_table import refuse_gone, refuse_other_types
from medallion_jobs.storage import Location


def of(
    stream: Stream, columns: LakeColumns, made: Collection[Location], *, is_emptied: bool
) -> Iterator[MedallionError]:
    """Every reason for which a run would refuse a query.

    Args:
        made: the tables that a run of the whole pipeline creates.
        is_emptied: whether the next run replaces all rows, so that the columns do not matter.
    """
    config, ref = columns.config, stream.claim.ref
    found = list(start_checks.findings(stream.claim))
    is_made = stream.claim.source_path in made and len(found) > 1
    # A source of another name that does not exist yet: one mistake, one finding.
    yield from (one for one in found if not (is_made and one.code == "source_removed"))
    yield from _missing(stream, config, ref, made)
    has = columns.on_disk(ref)
    if has is None and ref.layer == "bronze":
        yield from raised(lambda: columns.bronze(ref.name))
    if has is not None and not is_emptied:
        yield from raised(lambda: _check_columns(columns, ref, has))
        layout = config.layout_of(ref)
        yield from raised(
            lambda: layouts.refuse_other_partitions(ref, TablePaths(config, ref).data, layout)
        )
    yield from _removed_columns(columns, ref)
    if ref.layer == "silver":
        yield from _missing_in_dimensions(columns, ref, config.silver[ref.name])


def by_types(config: Pipeline, schemas: Mapping[TableRef, StructType]) -> Iterator[MedallionError]:
    """The silver tables that cannot take rows of the types that Spark has found.

    Args:
        schemas: the columns of each table, with the types of all expressions.
    """
    columns = LakeColumns(config)
    for ref, wanted in schemas.items():
        has = columns.on_disk(ref)
        if ref.layer != "silver" or has is None or config.silver[ref.name].schema_:
            continue
        recorded = manifest.read(QueryFolder.of(TablePaths(config, ref)))
        if recorded and recorded.current.binding and not _widens(config, ref):
            yield from raised(lambda: refuse_other_types(ref, has, wanted))  # noqa: B023


def raised(check: Callable[[], object]) -> Iterator[MedallionError]:
    """The error of a check that raises, if it does."""
    try:
        check()
    except MedallionError as error:
        yield error


def _missing(
    stream: Stream, config: Pipeline, ref: TableRef, made: Collection[Location]
) -> Iterator[MedallionError]:
    if ref.layer != "silver":
        yield from raised(lambda: stream.preflight(made))
        return
    # A start names the first that is missing.
    for name in config.silver[ref.name].dimensions:
        path = TablePaths(config, name).data
        yield from raised(lambda: lookup.check_dimension(name, path, made))  # noqa: B023


def _check_columns(columns: LakeColumns, ref: TableRef, has: StructType) -> None:
    """Raises UsageError if the table cannot have the columns that the config gives it."""
    config, by_config = columns.config, columns.by_config[ref]
    if ref.layer == "bronze":
        wanted = columns.bronze(ref.name)
        if wanted is not None:
            widens = config.file_sources[ref.name].widens
            refuse_unfit(str(ref), has, wanted, widens=widens)
    elif ref.layer == "silver" and by_config is not None:
        kinds = {field.name: field.dataType for field in has}
        declared = [
            StructField(name, kind or kinds[name])
            for name, kind in by_config.items()
            if kind or name in kinds
        ]
        if config.silver[ref.name].schema_:
            fix = f"rebuild it: `{rebuild_command(ref)}`"
            tables.refuse_other_columns(str(ref), has, StructType(declared), fix=fix)
            return
        gone = left(has, by_config)
        refuse_gone(ref, [name for name in has.names if name.lower() in gone], ())
        if not _widens(config, ref):
            refuse_other_types(ref, has, StructType(declared))


def _widens(config: Pipeline, ref: TableRef) -> bool:
    """Whether Delta may widen the types of a table's columns."""
    properties = config.layout_of(ref).properties
    return any(key.lower() == "delta.enabletypewidening" for key in properties)


def _removed_columns(columns: LakeColumns, ref: TableRef) -> Iterator[MedallionError]:
    """Columns that the table reads, and that its source will not have any more."""
    if ref.layer == "bronze":
        return
    table = getattr(columns.config, ref.layer)[ref.name]
    gone = left(columns.on_disk(table.from_), columns.by_config.get(table.from_))
    found: dict[str, list[str]] = {}
    for key, name in still_read(table, gone):
        found.setdefault(name, []).append(key)
    for name, keys in found.items():
        where = ", ".join(keys)
        yield UsageError(
            f"{ref} reads the column {name} of {table.from_}, which the config does not give to "
            f"that table any more; in: {where}",
            code="reads_removed_column",
            untouched="nothing was started",
            next_step=f"change {where} of {ref} in the config, or give {table.from_} its column "
            "back",
        )


def _missing_in_dimensions(
    columns: LakeColumns, ref: TableRef, table: SilverTable
) -> Iterator[MedallionError]:
    """Columns that lookups name, and that their dimension does not have."""
    for used in table.lookups:
        has = columns.read(used.table)
        if has is None:
            continue
        moments = [used.valid_from, used.valid_to] if used.as_of else []
        known = {name.lower() for name in has}
        named = [*used.on, *used.take.values(), *moments]
        missing = [n for n in dict.fromkeys(named) if n.isidentifier() and n.lower() not in known]
        if missing:
            yield UsageError(
                f"{ref} looks up {', '.join(missing)} in {used.table}, which has no such column; "
                f"it has {', '.join(has)}",
                code="dimension_column_missing",
                untouched="nothing was started",
                next_step=f"fix the lookup of {ref} in the config, or add the column to "
                f"{used.table}",
            )
