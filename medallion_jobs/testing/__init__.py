"""Test helpers for a user's own pipelines and transforms, to use with pytest."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medallion_jobs.testing.lake import LakeHarness
    from medallion_jobs.testing.transforms import check_transform

__all__ = ["LakeHarness", "cases", "check_transform"]

_MODULES = {"LakeHarness": "lake", "check_transform": "transforms"}


def __getattr__(name: str) -> object:
    # They import pyspark, and pytest loads the plugin of this room wherever the package is.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
