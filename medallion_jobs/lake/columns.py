"""The names of a bronze table's technical columns, which columns of files cannot have."""

from __future__ import annotations

from medallion_jobs.lake.tables.sql import namable

RESCUED = "_rescued_data"
# The key of the file's path in `_rescued_data`, as in Auto Loader.
RESCUED_FILE = "_file_path"
INPUT_FILE, FILE_SIZE, FILE_MODIFIED = "_input_file", "_file_size", "_file_modified"
# Optional: the version of the file that a row comes from, its load time (under one of two
# names), and its batch.
FILE_VERSION, BATCH_ID = "_file_version", "_batch_id"
LOAD_TIMES = ("_load_time", "_ingestion_time")
# No key of a file becomes a column by one of these names.
RESERVED = (RESCUED, INPUT_FILE, FILE_SIZE, FILE_MODIFIED, FILE_VERSION, *LOAD_TIMES, BATCH_ID)
# What an envelope says about a change, beside the row itself: see `refine.transform.envelope`.
OP, IS_SNAPSHOT, UNAVAILABLE = "_op", "_is_snapshot", "_unavailable"
SOURCE_TIME, SOURCE_BLOCK, LSN, COMMIT_LSN = "_source_time", "_source", "_lsn", "_commit_lsn"
TRANSACTION_ID, TRANSACTION_ORDER = "_transaction_id", "_transaction_order"
# Where a message lay in its topic: the names of Kafka's columns, with a `_` before them.
OF_MESSAGE = ("_topic", "_partition", "_offset", "_timestamp", "_headers")
# The key that a row had before an update changed it.
OLD_KEY = "_old_key"
OF_CHANGE = (
    *(OP, IS_SNAPSHOT, OLD_KEY, UNAVAILABLE, SOURCE_TIME, SOURCE_BLOCK, LSN, COMMIT_LSN),
    *(TRANSACTION_ID, TRANSACTION_ORDER, *OF_MESSAGE),
)


def is_free(name: str) -> bool:
    """Whether a column of a file can have this name, which no technical column has."""
    return namable(name) and name.lower() not in RESERVED
