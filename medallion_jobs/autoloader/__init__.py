"""Files to rows: discovery, the ledger, reading, and the account of every line."""

from medallion_jobs.autoloader.account import NOTHING_OLDER, Older, older
from medallion_jobs.autoloader.admission import chunks
from medallion_jobs.autoloader.discovery import Found, check_folder, scan, to_path, to_uri
from medallion_jobs.autoloader.ledger import Ledger, Outcome, State, files_of
from medallion_jobs.autoloader.load import BatchLoad, bronze_schema

__all__ = [
    "NOTHING_OLDER",
    "BatchLoad",
    "Found",
    "Ledger",
    "Older",
    "Outcome",
    "State",
    "bronze_schema",
    "check_folder",
    "chunks",
    "files_of",
    "older",
    "scan",
    "to_path",
    "to_uri",
]
