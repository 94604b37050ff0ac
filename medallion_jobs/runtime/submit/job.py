"""What is to be submitted: a layer, its config, and where its driver shall run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LAYERS = ("bronze", "silver", "gold")
IN_IMAGE = "local://"  # Spark's own scheme for what the driver's image holds


@dataclass(frozen=True)
class Job:
    """A layer and its options.

    Attributes:
        config: the config's path here; None when the driver's image holds it.
        config_there: the same as the job is told it, where nothing moves it.
        env: the overlay's name.
        sets: the values of `--set`.
        options: all that the job is told besides `--config`, `--env` and `--set` among it.
        environment: an archive with the driver's Python, `pack` to make one, or None.
        image_home: the folder of the image that holds `medallion_jobs/`.
        image_jars: the folder of the image that holds the jars.
    """

    layer: str
    config: Path | None
    config_there: str
    env: str | None
    sets: tuple[str, ...]
    options: tuple[str, ...]
    master: str | None
    deploy_mode: str | None
    environment: str | None
    image_home: str
    image_jars: str
