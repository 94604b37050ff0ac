"""What Delta says when a table that is streamed from gets other columns or types.

The streaming source then ends its query, before it plans a batch that has them, and a start
from the same checkpoint goes on with the next row. Spark hands the failure back as a text only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_CHANGED = re.compile(r"\[DELTA_SCHEMA_CHANGED(?:_WITH_VERSION)?\]")
_VERSION = re.compile(r"schema change in version (\d+)")
_TREES = re.compile(r"schema: root\n(.*?)\n\n", re.DOTALL)
# A line of a schema's tree, such as `    |-- city: string (nullable = true)`, and how far each
# level of nesting is set in.
_FIELD = re.compile(r"^([ |]*)-- (.+): (\S+)", re.MULTILINE)
_INDENT = 5


@dataclass(frozen=True)
class SchemaChange:
    """Why a query's source ended it.

    Attributes:
        version: the source's version that brought the change; None where it was not told.
        fields: what is new or of another type, such as `address.city string`.
    """

    version: int | None
    fields: tuple[str, ...]

    @classmethod
    def from_failure(cls, failure: str) -> SchemaChange | None:
        """The change of which a query died; None when it died of something else."""
        if not _CHANGED.search(failure):
            return None
        version = _VERSION.search(failure)
        trees = [list(_fields(tree)) for tree in _TREES.findall(failure)]
        old, new = trees if len(trees) == 2 else ([], [])  # noqa: PLR2004 (before and after)
        return cls(
            version=int(version.group(1)) if version else None,
            fields=tuple(field for field in new if field not in old),
        )


def _fields(tree: str) -> Iterator[str]:
    """Each field of a schema's tree by its dotted path, with its type."""
    path: list[str] = []
    for field in _FIELD.finditer(tree):
        indent, name, kind = field.groups()
        path[len(indent) // _INDENT :] = [name]
        yield f"{'.'.join(path)} {kind}"
