"""Deletion vectors without a JVM: rows that a table's log takes away from a data file."""

from __future__ import annotations

import json
import struct
from pathlib import Path

_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_FEATURES = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}


def take_away(table: Path, *rows: int) -> None:
    """Commits that rows of the only file, of the only commit, are gone, by their place in it."""
    log = table / "_delta_log"
    first = [json.loads(line) for line in (log / f"{0:020}.json").read_text().splitlines()]
    [add] = [action["add"] for action in first if "add" in action]
    [metadata] = [action["metaData"] for action in first if "metaData" in action]
    properties = {**metadata["configuration"], "delta.enableDeletionVectors": "true"}
    actions = [
        {"commitInfo": {"timestamp": add["modificationTime"] + 1, "operation": "DELETE"}},
        {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **_FEATURES}},
        {"metaData": {**metadata, "configuration": properties}},
        {"remove": {"path": add["path"], "deletionTimestamp": 1, "dataChange": True}},
        {"add": {**add, "deletionVector": _inline(sorted(rows))}},
    ]
    (log / f"{1:020}.json").write_text("".join(json.dumps(action) + "\n" for action in actions))


def _inline(rows: list[int]) -> dict[str, object]:
    """A vector within the log (Delta protocol, "Deletion Vector Format"): one Roaring bitmap."""
    bitmap = struct.pack("<IIHHI", 12346, 1, 0, len(rows) - 1, 16)
    bitmap += struct.pack(f"<{len(rows)}H", *rows)
    data = struct.pack("<IQI", 1681511377, 1, 0) + bitmap
    words = struct.unpack(f">{-(-len(data) // 4)}I", data + b"\0" * (-len(data) % 4))
    text = "".join(_Z85[word // 85**power % 85] for word in words for power in (4, 3, 2, 1, 0))
    return {
        "storageType": "i",
        "pathOrInlineDv": text,
        "sizeInBytes": len(data),
        "cardinality": len(rows),
    }
