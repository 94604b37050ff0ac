"""An environment whose Python ends with the exit codes that a test names, and runs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# Called as `python -m medallion_jobs WORDS`: notes the words, and ends as the next line of `codes`
# says, in the end with 0.
_PYTHON = """\
#!/bin/bash
cd "$(dirname "$0")/.."
shift 2
echo "$*" >> calls
code=$(sed -n "$(wc -l < calls)p" codes)
echo "called with $*"
if [ "${code:-0}" != 0 ]; then
  printf 'error: silver.sales: code %s\\n  next:      do this\\n' "$code" >&2
fi
[ "$code" = killed ] && kill -9 $$
[ -z "${WAIT_FOR:-}" ] || while [ ! -e "$WAIT_FOR" ]; do sleep 0.05; done
exit "${code:-0}"
"""


@dataclass(frozen=True)
class StandIn:
    """The environment, in a folder."""

    folder: Path

    @classmethod
    def that_ends(cls, folder: Path, *codes: int | str) -> StandIn:
        """Of these codes, one a call; `killed` is a code, too."""
        python = folder / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(_PYTHON)
        python.chmod(0o755)
        (folder / "codes").write_text("".join(f"{code}\n" for code in codes))
        (folder / "calls").touch()
        return cls(folder)

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()
