"""Generations, locks and the start fence: what keeps a query and its table together."""

from medallion_jobs.checkpoint.folder import Checkpoint, QueryFolder
from medallion_jobs.checkpoint.lock import Lock
from medallion_jobs.checkpoint.manifest import Binding, Generation, Logic, Manifest
from medallion_jobs.checkpoint.start_checks import Claim, StartPoint, check

__all__ = [
    "Binding",
    "Checkpoint",
    "Claim",
    "Generation",
    "Lock",
    "Logic",
    "Manifest",
    "QueryFolder",
    "StartPoint",
    "check",
]
