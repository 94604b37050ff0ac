"""The way in of `scripts/cdc-lab`, which runs this folder."""

from __future__ import annotations

import sys
from pathlib import Path

from medallion_jobs.errors import MedallionError

if __name__ == "__main__":
    # Python puts the folder that it runs first, but the files here import by the package's name.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from cdc_lab.command import main

    try:
        main(sys.argv[1:])
    except MedallionError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
