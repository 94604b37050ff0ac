"""What may be done behind a query's back to a lake on which gold ran four batches."""

from __future__ import annotations

import shutil

from lakes import GOLD, SILVER, Lake, offset, write_table


def remove_all_state(lake: Lake) -> None:
    """Checkpoint and manifest."""
    shutil.rmtree(lake.home(GOLD).path)


def remove_manifest(lake: Lake) -> None:
    lake.home(GOLD).manifest.unlink()


def remove_table(lake: Lake) -> None:
    shutil.rmtree(lake.path(GOLD))


def make_table_anew(lake: Lake) -> None:
    """Another table at the same place, with rows of the same batch."""
    remove_table(lake)
    lake.write(GOLD, 3)


def remove_checkpoint(lake: Lake) -> None:
    shutil.rmtree(lake.home(GOLD).checkpoint(1).path)


def put_older_checkpoint_back(lake: Lake) -> None:
    """One that knows of batches 0 and 1 only."""
    for batch in ("2", "3"):
        (lake.home(GOLD).checkpoint(1).path / "offsets" / batch).unlink()
        (lake.home(GOLD).checkpoint(1).path / "commits" / batch).unlink()


def lose_the_end_of_the_log(lake: Lake) -> None:
    """The table forgets batch 3."""
    (lake.path(GOLD) / "_delta_log" / f"{3:020}.json").unlink()


def remove_source(lake: Lake) -> None:
    shutil.rmtree(lake.path(SILVER))


def make_source_anew(lake: Lake) -> None:
    remove_source(lake)
    write_table(lake.path(SILVER))


def run_v2_and_put_back(lake: Lake, older: bytes) -> None:
    """A second generation runs; then the manifest is what it was."""
    lake.bind(GOLD)
    lake.write(GOLD, 0, generation=2)
    lake.checkpoint(GOLD, offsets=0, commits=0, generation=2)
    lake.home(GOLD).manifest.write_bytes(older)


def lose_the_end_of_the_sources_log(lake: Lake) -> None:
    """The query has read a version that its source does not have."""
    folder = lake.home(GOLD).checkpoint(1).path / "offsets"
    (folder / "3").write_text(offset(2))


def put_unbound_manifest_back(lake: Lake) -> None:
    """As it was when the second generation was opened."""
    lake.reset(GOLD)
    run_v2_and_put_back(lake, lake.home(GOLD).manifest.read_bytes())


def put_manifest_of_v1_back(lake: Lake) -> None:
    """As it was before the second generation was opened."""
    older = lake.home(GOLD).manifest.read_bytes()
    lake.reset(GOLD)
    run_v2_and_put_back(lake, older)


def put_all_state_of_v1_back(lake: Lake) -> None:
    """The second generation is only to be seen in the table."""
    put_manifest_of_v1_back(lake)
    shutil.rmtree(lake.home(GOLD).checkpoint(2).path)
