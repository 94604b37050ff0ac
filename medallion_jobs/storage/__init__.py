"""Storage of a lake: folders of this machine, or objects in S3 and compatible stores.

Both kinds of `Location` have the methods of `pathlib.Path`. What must work differently on each to
be safe has a function here: `put` writes a file atomically, `create` fails if the file exists.
`delta` and `duck` are not imported here, because their engines are slow to import.
"""

from medallion_jobs.storage.faults import StoreError
from medallion_jobs.storage.location import (
    Location,
    below,
    children,
    create,
    duplicate,
    is_below,
    location,
    move,
    put,
    remove_all,
    uri,
)
from medallion_jobs.storage.objects import ObjectPath
from medallion_jobs.storage.s3 import S3

__all__ = [
    "S3",
    "Location",
    "ObjectPath",
    "StoreError",
    "below",
    "children",
    "create",
    "delta",
    "duck",
    "duplicate",
    "is_below",
    "location",
    "move",
    "put",
    "remove_all",
    "uri",
]
