"""A new project's folder, and what is in it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from medallion_jobs.config import json_schema
from medallion_jobs.config.project import FILE
from medallion_jobs.errors import UsageError
from medallion_jobs.project.tables import identifier

TEMPLATES = ("sales", "app_events", "iot_sales", "transactions", "orders_cdc")
SCHEMA = "pipeline.schema.json"
_HEAD = f"# yaml-language-server: $schema={SCHEMA}\n"
_IGNORED = "/lake/\n/landing/\n/spark-warehouse/\n/metastore_db/\nderby.log\n.env\n__pycache__/\n"
_EMPTY = """\
pipeline: {name}

bronze:
  # Files of JSON lines in landing/events. `medallion init NAME --from FOLDER` writes this for files
  # that are there already.
  events:
    source:
      format: json
      schema: event_id string, event_time timestamp, kind string, amount decimal(18,2)
      schema_evolution: add_new_columns

silver:
  events:
    from: bronze.events
    columns:
      event_date: to_date(event_time)
    expect:
      has_event_id: {{not_null: event_id, otherwise: quarantine}}
    dedupe: {{keys: event_id}}
    select: [event_id, event_time, event_date, kind, amount]

gold:
  events_by_day:
    from: silver.events
    group_by: [event_date, kind]
    measures:
      row_count: count(*)
      total_amount: sum(amount)
    mode: complete
"""
_TEST = '''\
"""The pipeline's config has no mistake: `pytest tests`, without Spark."""

from pathlib import Path

from medallion_jobs.config import load

CONFIG = Path(__file__).parents[1] / "medallion.yaml"


def test_the_config_has_no_mistake() -> None:
    # The names of logins are enough here: their values belong to where the pipeline runs.
    pipeline = load(CONFIG, loads_sinks=False).pipeline
    assert pipeline.bronze
'''
_README = """\
# {name}

`medallion.yaml` is the pipeline: files to bronze, silver and gold tables, in `lake/`.

```console
$ medallion validate      # checks the config
$ medallion run           # loads what is there
$ medallion status        # what every table has
$ medallion query "SELECT * FROM {table} LIMIT 10"
$ pytest tests            # checks the config without Spark
```
"""


def path_of(name: str | None) -> tuple[Path, str]:
    """The folder of a new project, and its pipeline's name.

    Raises:
        UsageError: the name has no letter and no digit.
    """
    folder = Path(name or ".").resolve()
    pipeline = identifier(folder.name)
    if not pipeline:
        raise UsageError(
            f"a pipeline cannot be named after the folder {folder}",
            code="invalid_project_name",
            untouched="nothing was written",
            next_step="medallion init NAME, with a name of letters and digits",
        )
    return folder, pipeline


def template(name: str) -> str:
    """The config of one of the pipelines that come with the package."""
    file = resources.files("medallion_jobs.project") / "templates" / f"{name}.yaml"
    text = file.read_text(encoding="utf-8")
    return text.partition("\n")[2] if text.startswith("# yaml-language-server") else text


def empty(pipeline: str) -> str:
    """A config to begin with."""
    return _EMPTY.format(name=pipeline)


def create(folder: Path, pipeline: str, config: str, table: str) -> list[Path]:
    """Writes a project's files.

    Args:
        config: the text of its config.
        table: the table that its README shows.

    Returns:
        The files.

    Raises:
        UsageError: one of them exists.
    """
    files = contents(pipeline, config, table)
    existing = [name for name in files if (folder / name).exists()]
    if existing:
        raise UsageError(
            f"{folder} already has {', '.join(existing)}",
            code="project_exists",
            untouched="no file was written or changed",
            next_step="medallion init OTHER_NAME, or move these files away",
        )
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("x", encoding="utf-8") as file:
            file.write(text)
    return [folder / name for name in files]


def contents(pipeline: str, config: str, table: str) -> Mapping[str, str]:
    """The files of a project, by their names."""
    return {
        FILE: _HEAD + config,
        SCHEMA: json.dumps(json_schema(), indent=2) + "\n",
        "tests/test_pipeline.py": _TEST,
        ".gitignore": _IGNORED,
        "README.md": _README.format(name=pipeline, table=table),
    }


def enter(folder: Path) -> str:
    """The command that goes into a project's folder, with `&& `; empty if it is the current one."""
    here = Path.cwd()
    if folder == here:
        return ""
    shown = folder.relative_to(here) if folder.is_relative_to(here) else folder
    return f"cd {shlex.quote(str(shown))} && "
