"""Generations, locks and start checks: they keep a query and its table consistent."""

from medallion_jobs.checkpoint.folder import Checkpoint, QueryFolder, rebuilds
from medallion_jobs.checkpoint.lock import Lock
from medallion_jobs.checkpoint.logic import Change, Logic, Stale
from medallion_jobs.checkpoint.manifest import Binding, Generation, Manifest
from medallion_jobs.checkpoint.orphaned import orphans
from medallion_jobs.checkpoint.start_checks import Claim, StartPoint, check, refused_for

__all__ = [
    "Binding",
    "Change",
    "Checkpoint",
    "Claim",
    "Generation",
    "Lock",
    "Logic",
    "Manifest",
    "QueryFolder",
    "Stale",
    "StartPoint",
    "check",
    "journal",
    "lock",
    "logic",
    "manifest",
    "offsets",
    "orphans",
    "processes",
    "rebuilds",
    "refused_for",
    "reset",
    "source_changes",
    "start_checks",
]
