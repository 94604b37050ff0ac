"""Where a lake lies: folders of this machine, or objects in S3 and stores like it.

A `Location` is asked like a `pathlib.Path`, whichever it is. What the two must do differently
to be safe has a function here: a file that appears whole, and one of which there can be only one.
`delta` and `duck` open tables with engines that take their time to be imported.
"""

from medallion_jobs.storage.faults import StoreError
from medallion_jobs.storage.location import (
    Location,
    below,
    children,
    create,
    is_below,
    location,
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
    "is_below",
    "location",
    "put",
    "remove_all",
    "uri",
]
