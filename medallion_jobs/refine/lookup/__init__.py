"""Lookups: columns taken from dimensions, and the policy for rows without a match.

rows -> join_all -> hidden columns of misses -> held | quarantined | left_out | fails, or written
"""

from medallion_jobs.lake.tables.changed_files import ChangedFiles, changed_files
from medallion_jobs.refine.lookup.dimension import (
    Dimension,
    check_dimension,
    keys_of,
    versions,
    versions_column,
)
from medallion_jobs.refine.lookup.duplicate_keys import Checked
from medallion_jobs.refine.lookup.freshness import stale
from medallion_jobs.refine.lookup.join import join_all
from medallion_jobs.refine.lookup.late_keys import changed_keys, waits_for
from medallion_jobs.refine.lookup.miss_policy import (
    explain_failure,
    fails,
    held,
    left_out,
    left_out_names,
    left_out_reasons,
    names,
    observed,
    quarantined,
    reasons,
    remarks,
    without_misses,
)
from medallion_jobs.refine.lookup.unknown_member import is_member, member, uses_unknown_member

__all__ = [
    "ChangedFiles",
    "Checked",
    "Dimension",
    "changed_files",
    "changed_keys",
    "check_dimension",
    "explain_failure",
    "fails",
    "held",
    "is_member",
    "join_all",
    "keys_of",
    "left_out",
    "left_out_names",
    "left_out_reasons",
    "member",
    "names",
    "observed",
    "quarantined",
    "reasons",
    "remarks",
    "stale",
    "uses_unknown_member",
    "versions",
    "versions_column",
    "waits_for",
    "without_misses",
]
