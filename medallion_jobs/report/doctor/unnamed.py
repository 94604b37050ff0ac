"""Tables that no table of the config writes or reads."""

from __future__ import annotations

from collections.abc import Iterator

from medallion_jobs.checkpoint import QueryFolder, manifest
from medallion_jobs.config import LAYERS, Pipeline, TableRef
from medallion_jobs.errors import MedallionError
from medallion_jobs.lake import paths
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.report.doctor.finding import NOTE, WARNING, Finding
from medallion_jobs.storage import children


def findings(config: Pipeline) -> Iterator[Finding]:
    """The tables, but for those that another pipeline writes."""
    used = {*paths.sources(config)}
    used |= {dimension for table in config.silver.values() for dimension in table.dimensions}
    for layer in LAYERS:
        for folder in children(paths.lake(config) / layer):
            ref = TableRef(layer, folder.name)
            if ref not in used and (folder / "_delta_log").is_dir():
                yield from _unnamed(config, ref)


def _unnamed(config: Pipeline, ref: TableRef) -> Iterator[Finding]:
    places = TablePaths(config, ref)
    try:
        written = manifest.read(QueryFolder.of(places))
    except MedallionError:
        written = None
    if written is None:
        what = (
            f"no table of the config writes or reads it, and no query ever wrote it: {places.data}"
        )
        yield Finding("table_unknown", NOTE, str(ref), what)
    elif written.pipeline in ("", config.pipeline):
        what = f"the config no longer has it, but queries still find it: {places.data}"
        fix = f"put it back into the config; or take it away: medallion drop {ref}"
        yield Finding("table_orphaned", WARNING, str(ref), what, fix)
