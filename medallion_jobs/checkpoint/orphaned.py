"""Tables that a pipeline has written, and that its config does not name any more."""

from __future__ import annotations

import re

from medallion_jobs.checkpoint import manifest
from medallion_jobs.checkpoint.folder import QueryFolder
from medallion_jobs.config import LAYERS, Pipeline, TableRef
from medallion_jobs.config.names import IDENTIFIER_PATTERN
from medallion_jobs.errors import Refused
from medallion_jobs.lake import paths
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.storage import children


def orphans(config: Pipeline) -> list[TableRef]:
    """These tables, by the manifests of their queries; layer by layer."""
    named = paths.sources(config)
    found = [
        TableRef(layer, folder.name)
        for layer in LAYERS
        for folder in children(config.state_path / "checkpoints" / layer)
        if re.fullmatch(IDENTIFIER_PATTERN, folder.name)
    ]
    return [ref for ref in found if ref not in named and _is_of(config, ref)]


def _is_of(config: Pipeline, ref: TableRef) -> bool:
    """Whether this pipeline wrote the table: several may share a `storage.root`."""
    try:
        recorded = manifest.read(QueryFolder.of(TablePaths(config, ref)))
    except Refused:  # it cannot be read, so it may be another pipeline's
        return False
    return recorded is not None and recorded.pipeline == config.pipeline
