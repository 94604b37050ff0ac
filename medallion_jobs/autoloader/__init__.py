"""The autoloader: finds files, records them in a ledger, and loads their records as rows."""

from importlib import import_module
from typing import TYPE_CHECKING

from medallion_jobs.autoloader.admission import chunks
from medallion_jobs.autoloader.file_entry import FileEntry, is_local, to_path, to_uri
from medallion_jobs.autoloader.ledger.ledger import Ledger
from medallion_jobs.autoloader.ledger.tables import Outcome, State

if TYPE_CHECKING:
    from medallion_jobs.autoloader.api import Loading, autoload
    from medallion_jobs.autoloader.loader import AutoLoader

__all__ = [
    "AutoLoader",
    "FileEntry",
    "Ledger",
    "Loading",
    "Outcome",
    "State",
    "archive",
    "autoload",
    "chunks",
    "is_local",
    "loading",
    "readers",
    "schemas",
    "to_path",
    "to_uri",
]

# These import pyspark. Commands that only read the ledger start faster without it.
_NEED_SPARK = {"AutoLoader": "loader", "Loading": "api", "autoload": "api"}


def __getattr__(name: str) -> object:
    if name not in _NEED_SPARK:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NEED_SPARK[name]}"), name)
