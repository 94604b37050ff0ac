"""Gives a table the data files of another one, or of an older version of itself, in one commit.

No row is computed or written again: on a disk the files are linked, in a store they are copied
there. Readers see the table before that commit or after it. Delta's own transaction writes the
commit, so all that the table's features need is in it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from medallion_jobs.errors import DataError, TransientError
from medallion_jobs.lake.tables.layout_state import RECORD
from medallion_jobs.lake.tables.merge import with_conf
from medallion_jobs.storage import Location, below, duplicate

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_COLUMN_MAPPING = "delta.columnMapping."
_CHECKS = "delta.constraints."
# Ids of rows are the table's own: Delta gives new ones.
_OF_ONE_TABLE = ("baseRowId", "defaultRowCommitVersion")


def replace_by(
    spark: SparkSession,
    source: Location,
    target: Location,
    *,
    txns: Mapping[str, int],
    notes: Mapping[str, object],
) -> int:
    """Replaces all rows and columns of a table by those of another one.

    The table keeps its id, its history and its properties. It takes over the transactions of the
    other table, and its properties; the next start of its query brings its layout in line.

    Args:
        txns: more transactions of the commit: application id to version.
        notes: the commit's user metadata; values must be JSON.

    Returns:
        The version of the commit.

    Raises:
        DataError: one of the two tables maps names of columns, and the other does not.
    """
    new, old = _Table(spark, source), _Table(spark, target)
    removed = [file.remove() for file in old.files]
    return old.commit(
        [*_added(new, old), *map(old.action, [*new.txns, *map(_txn, txns.items())]), *removed],
        metadata=_merged(old.metadata, new.metadata, target),
        notes=notes,
        mode="Overwrite",
    )


def add_from(
    spark: SparkSession, source: Location, target: Location, *, txns: Mapping[str, int]
) -> int:
    """Adds the rows of another table with the same columns, and its transactions.

    The table gets the columns that only the other one has.

    Returns:
        The version of the commit.
    """
    new, old = _Table(spark, source), _Table(spark, target)
    columns, more = (json.loads(table.metadata["schemaString"]) for table in (old, new))
    names = {field["name"] for field in columns["fields"]}
    columns["fields"] += [field for field in more["fields"] if field["name"] not in names]
    return old.commit(
        [*_added(new, old), *map(old.action, [*new.txns, *map(_txn, txns.items())])],
        metadata={**old.metadata, "schemaString": json.dumps(columns)},
        notes={},
        mode="Append",
    )


def go_back(
    spark: SparkSession,
    path: Location,
    version: int,
    *,
    txns: Mapping[str, int],
    notes: Mapping[str, object],
) -> int:
    """Gives a table the rows and columns of an older version. Its transactions stay.

    Returns:
        The version of the commit.

    Raises:
        DataError: files of that version are gone.
    """
    refuse_removed_files(spark, path, version)
    table, before = _Table(spark, path), _Table(spark, path, version)
    now, then = ({_identity(file): file for file in t.files} for t in (table, before))
    added = [table.action({"add": _as_new(file)}) for name, file in then.items() if name not in now]
    removed = [file.remove() for name, file in now.items() if name not in then]
    return table.commit(
        [*added, *removed, *map(table.action, map(_txn, txns.items()))],
        metadata=_merged(table.metadata, before.metadata, path),
        notes=notes,
        mode="Overwrite",
    )


def rearrange(
    spark: SparkSession,
    source: Location | None,
    target: Location,
    *,
    removed: Collection[str],
    schema: Mapping[str, Any],
    notes: Mapping[str, object],
) -> int:
    """Replaces data files of a table by those of another one, with the same rows in other columns.

    No row comes or goes, so streams and change data feeds of the table skip the commit, as they
    skip that of an OPTIMIZE (`dataChange` is false).

    Args:
        source: the other table; None if no file is replaced.
        removed: the files that are replaced, as whole paths.
        schema: the columns that the table gets, in Spark's JSON form.
        notes: the commit's user metadata; values must be JSON.

    Returns:
        The version of the commit.

    Raises:
        TransientError: a file is not in the table any more.
    """
    old = _Table(spark, target)
    added = _added(_Table(spark, source), old, changes=False) if source else []
    has = {unquote(json.loads(file.json())["add"]["path"]): file for file in old.files}
    named = {path: _named(path, has) for path in removed}
    if gone := [path for path, name in named.items() if name is None]:
        raise TransientError(
            f"{target} was written by another process meanwhile: {gone[0]} is not in it any more",
            code="table_written_meanwhile",
            untouched="the table",
            next_step="type the same command again",
        )
    now = int(time.time() * 1000)
    return old.rearrange(
        [*added, *(has[name].removeWithTimestamp(now, False) for name in named.values() if name)],
        metadata={**old.metadata, "schemaString": json.dumps(schema)},
        notes=notes,
    )


def refuse_removed_files(spark: SparkSession, path: Location, version: int) -> None:
    """Refuses an older version of a table that can no longer be read.

    Raises:
        DataError: VACUUM has removed files of it.
    """
    for file in _Table(spark, path, version).files:
        name = unquote(json.loads(file.json())["add"]["path"])
        if not (path / name).exists():
            raise DataError(
                f"version {version} of {path} has files that VACUUM has removed, such as {name}",
                code="version_vacuumed",
                untouched="nothing was changed",
                next_step="compute the table again: `medallion rebuild`",
            )


class _Table:
    """A table as Delta's own classes see it."""

    def __init__(self, spark: SparkSession, path: Location, version: int | None = None) -> None:
        self.path = path
        self._spark = spark
        jvm: Any = spark._jvm
        self._jvm = jvm
        self._delta = jvm.org.apache.spark.sql.delta
        self._none = jvm.scala.Option.empty()
        self._log = self._delta.DeltaLog.forTable(spark._jsparkSession, str(path))
        self._log.update(False, self._none, self._none)
        # The transaction begins here: a commit by somebody else after this makes it fail.
        self._transaction = self._log.startTransaction()
        self._snapshot = (
            self._transaction.snapshot()
            if version is None
            else self._log.getSnapshotAt(version, self._none, self._none, False)
        )
        self.metadata: dict[str, Any] = json.loads(self._snapshot.metadata().json())["metaData"]

    @property
    def files(self) -> list[Any]:
        return list(self._snapshot.allFiles().collect())

    @property
    def txns(self) -> list[dict[str, Any]]:
        found = self._jvm.scala.jdk.javaapi.CollectionConverters.asJava(
            self._snapshot.setTransactions()
        )
        return [json.loads(txn.json()) for txn in found]

    def action(self, action: Mapping[str, Any]) -> Any:
        """An action of the Delta protocol, as an object of Delta."""
        return self._delta.actions.Action.fromJson(json.dumps(action))

    def commit(
        self,
        actions: Iterable[Any],
        *,
        metadata: Mapping[str, Any],
        notes: Mapping[str, object],
        mode: str,
    ) -> int:
        """Commits actions, with other metadata if it differs; returns the new version."""
        text = self._jvm.scala.Option.apply(json.dumps(notes)) if notes else self._none
        save_mode = self._jvm.org.apache.spark.sql.SaveMode.valueOf(mode)
        none = self._none
        # Delta asks whether an overwrite may change columns and partitions.
        may_change = self._jvm.scala.Option.apply(mode == "Overwrite")
        # The mode, partitions, predicate, user metadata, and five options of a DataFrameWriter.
        write = self._jvm.org.apache.spark.sql.delta.DeltaOperations.Write
        operation = write(save_mode, none, none, text, none, may_change, none, none, none)
        return self._commit(actions, metadata, operation)

    def rearrange(
        self, actions: Iterable[Any], *, metadata: Mapping[str, Any], notes: Mapping[str, object]
    ) -> int:
        """Commits actions by which no row comes or goes; returns the new version."""
        operation = self._delta.DeltaOperations.Reorg(self._sequence(()), True)
        noted = {"spark.databricks.delta.commitInfo.userMetadata": json.dumps(notes)}
        with with_conf(self._spark, noted):
            return self._commit(actions, metadata, operation)

    def _commit(self, actions: Iterable[Any], metadata: Mapping[str, Any], operation: Any) -> int:
        if metadata != self.metadata:
            self._transaction.updateMetadata(self.action({"metaData": dict(metadata)}), False)
        return int(self._transaction.commit(self._sequence(actions), operation))

    def _sequence(self, items: Iterable[Any]) -> Any:
        listed = self._jvm.java.util.ArrayList()
        for item in items:
            listed.add(item)
        return self._jvm.scala.jdk.javaapi.CollectionConverters.asScala(listed).toSeq()


def _added(new: _Table, old: _Table, *, changes: bool = True) -> list[Any]:
    """The files of a table, brought to the folder of another one.

    Args:
        changes: whether they bring rows that the other table did not have.
    """
    actions = []
    for file in new.files:
        add = {**_as_new(file), "dataChange": changes}
        duplicate(new.path / unquote(add["path"]), old.path / unquote(add["path"]))
        actions.append(old.action({"add": add}))
    for vector in new.path.rglob("deletion_vector_*.bin"):
        duplicate(vector, old.path / str(below(vector, new.path)))
    return actions


def _named(path: str, names: Collection[str]) -> str | None:
    """The one of some names, paths below a table, that a whole path ends with."""
    parts = path.split("/")
    ends = ("/".join(parts[start:]) for start in range(len(parts) - 1, -1, -1))
    return next((end for end in ends if end in names), None)


def _as_new(file: Any) -> dict[str, Any]:
    """The action that adds a file, as rows that the table did not have before."""
    add: dict[str, Any] = json.loads(file.json())["add"]
    kept = {key: value for key, value in add.items() if key not in _OF_ONE_TABLE}
    return {**kept, "dataChange": True}


def _identity(file: Any) -> tuple[str, str]:
    add = json.loads(file.json())["add"]
    return add["path"], json.dumps(add.get("deletionVector"))


def _txn(txn: tuple[str, int]) -> dict[str, Any]:
    return {"txn": {"appId": txn[0], "version": txn[1]}}


def _merged(old: Mapping[str, Any], new: Mapping[str, Any], path: Location) -> dict[str, Any]:
    """The metadata of `old` with the columns, the partitions and the properties of `new`."""
    has, gets = old["configuration"], new["configuration"]
    if has.get(f"{_COLUMN_MAPPING}mode") != gets.get(f"{_COLUMN_MAPPING}mode"):
        raise DataError(
            f"{path} maps the names of its columns (`{_COLUMN_MAPPING}mode`), and a table that "
            "is built beside it does not",
            code="column_mapping_differs",
            untouched="the table",
            next_step="rebuild it in its own place: `medallion checkpoint reset`",
        )
    # What a layout has set is recorded, and is brought in line by that record.
    taken = {k: v for k, v in gets.items() if k != RECORD and not k.startswith(_CHECKS)}
    return {
        **old,
        "schemaString": new["schemaString"],
        "partitionColumns": new["partitionColumns"],
        "configuration": {**has, **taken},
    }
