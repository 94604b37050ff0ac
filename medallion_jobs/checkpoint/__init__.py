"""Generations, locks and the start fence: what keeps a query and its table together."""

from medallion_jobs.checkpoint.fence import Claim, Passage, check
from medallion_jobs.checkpoint.home import Checkpoint, Home
from medallion_jobs.checkpoint.lock import Lock
from medallion_jobs.checkpoint.manifest import Binding, Generation, Logic, Manifest

__all__ = [
    "Binding",
    "Checkpoint",
    "Claim",
    "Generation",
    "Home",
    "Lock",
    "Logic",
    "Manifest",
    "Passage",
    "check",
]
