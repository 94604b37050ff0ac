"""Generations, locks and start checks: they keep a query and its table consistent."""

from medallion_jobs.checkpoint.folder import Checkpoint, QueryFolder
from medallion_jobs.checkpoint.lock import Lock
from medallion_jobs.checkpoint.manifest import Binding, Generation, Logic, Manifest
from medallion_jobs.checkpoint.start_checks import Claim, StartPoint, check, refused_for

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
    "lock",
    "manifest",
    "offsets",
    "processes",
    "refused_for",
    "reset",
    "start_checks",
]
