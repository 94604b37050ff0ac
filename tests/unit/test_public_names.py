"""The names that users import. Taking one away, or changing what it means, is a major version."""

from __future__ import annotations

import importlib

import pytest

PUBLIC = {
    "medallion_jobs.autoloader": {"AutoLoader", "Loading", "autoload"},
    "medallion_jobs.config": {"ConfigError", "Pipeline", "load"},
    "medallion_jobs.engine": {"run"},
    "medallion_jobs.errors": {
        "DataError",
        "LockHeld",
        "MedallionError",
        "Refused",
        "TransientError",
        "UsageError",
    },
    "medallion_jobs.testing": {"LakeHarness", "check_transform"},
}


@pytest.mark.parametrize("module", PUBLIC)
def test_the_public_names_are_there(module: str) -> None:
    found = importlib.import_module(module)
    assert PUBLIC[module] <= set(dir(found)) | set(getattr(found, "__all__", ()))
    for name in PUBLIC[module]:
        assert getattr(found, name)
