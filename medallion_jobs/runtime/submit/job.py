"""A job to submit: a layer, its config, and where its driver runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LAYERS = ("bronze", "silver", "gold")
IN_IMAGE = "local://"  # Spark's scheme for files in the driver's image


@dataclass(frozen=True)
class Job:
    """A layer and its options.

    Attributes:
        config: the config's local path; None if it is in the driver's image.
        config_at_driver: the config's path for the driver, unless it is sent along.
        env: the overlay's name.
        sets: the values of `--set`.
        options: all arguments of the job but `--config`; includes `--env` and `--set`.
        environment: an archive with the driver's Python, `pack` to create one, or None.
        image_home: the folder in the image with `medallion_jobs/`.
        image_jars: the folder in the image with the jars.
    """

    layer: str
    config: Path | None
    config_at_driver: str
    env: str | None
    sets: tuple[str, ...]
    options: tuple[str, ...]
    master: str | None
    deploy_mode: str | None
    environment: str | None
    image_home: str
    image_jars: str
