"""Tests of a pipeline and of its transforms, for a user's own pytest."""

from medallion_jobs.testing.lake import LakeHarness
from medallion_jobs.testing.transforms import check_transform

__all__ = ["LakeHarness", "check_transform"]
