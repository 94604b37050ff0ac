"""Test helpers for a user's own pipelines and transforms, to use with pytest."""

from medallion_jobs.testing.lake import LakeHarness
from medallion_jobs.testing.transforms import check_transform

__all__ = ["LakeHarness", "check_transform"]
