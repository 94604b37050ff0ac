"""What a run leaves behind: a record of how it went, and a log file."""

from medallion_jobs.runs.record import Record, TableRun
from medallion_jobs.runs.recorder import Recorder, recorded

__all__ = ["Record", "Recorder", "TableRun", "history", "record", "recorded", "recorder", "store"]
