"""`medallion`, but it kills itself with -9 at a point that DIES_AT names.

The points are those of a rebuild, of a way back, and of a promotion.
"""

from __future__ import annotations

import os

from medallion_jobs.autoloader.schemas.registry import Registry
from medallion_jobs.checkpoint import journal, manifest
from medallion_jobs.cli import main
from medallion_jobs.lake.tables import adopt
from medallion_jobs.rebuild.rollback import Rollback
from medallion_jobs.rebuild.whole import Rebuild
from medallion_jobs.refine.batch import Refinery
from support.dies_in_silver import dying

# Each with what is called there, and whether death comes before it.
POINTS: dict[str, tuple[object, str, bool]] = {
    "after_it_was_noted": (journal, "write", False),
    "before_the_first_commit_in_the_slot": (Refinery, "commit", True),
    "after_it_was_built": (Rebuild, "build", False),
    "before_the_rows_are_replaced": (adopt, "replace_by", True),
    "after_the_rows_are_replaced": (adopt, "replace_by", False),
    "amid_what_is_kept_beside": (adopt, "add_from", False),
    "before_the_checkpoint_is_moved": (Rebuild, "_take_checkpoint", True),
    "after_the_checkpoint_is_moved": (Rebuild, "_take_checkpoint", False),
    "after_the_generation_is_opened": (Rebuild, "_open_generation", False),
    "before_the_slot_is_removed": (Rebuild, "_swapped", False),
}
# The same of a way back to the generation before.
BACK: dict[str, tuple[object, str, bool]] = {
    "after_the_way_back_was_noted": (journal, "write", False),
    "after_the_change_log_is_back": (adopt, "go_back", False),
    "before_the_checkpoint_is_back": (manifest, "write", True),
    "after_the_checkpoint_is_back": (manifest, "write", False),
    "before_the_note_is_removed": (Rollback, "_go_back", False),
}
# The same of a promotion of columns.
PROMOTION: dict[str, tuple[object, str, bool]] = {
    "after_the_version_was_announced": (Registry, "announce", False),
    "before_the_files_are_replaced": (adopt, "rearrange", True),
    "after_the_files_are_replaced": (adopt, "rearrange", False),
    "after_the_version_is_recorded": (Registry, "record", False),
}


if __name__ == "__main__":
    where, name, before = {**POINTS, **BACK, **PROMOTION}[os.environ["DIES_AT"]]
    setattr(where, name, dying(getattr(where, name), before=before))
    main()
