"""docs/errors.md, made of the places in the code that raise errors.

cd tests && ../.venv/bin/python -m support.errors_page > ../docs/errors.md
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from medallion_jobs import errors
from medallion_jobs.errors import MedallionError

PACKAGE = Path(__file__).parents[2] / "medallion_jobs"
_HEAD = """# Errors

Every error has a code, which stays the same while its words may change. In Python it is
`MedallionError.code`. `medallion run --progress json`, and a job under spark-submit, print it as
the last event, with the keys `event` ("error"), `code`, `exit_code`, `what`, `untouched` and
`next_step`. What is in `{}` below is filled in.

Exit codes: 1 the data or the pipeline says no; 2 a wrong command, option, config or place; 3 a
bug; 75 worth a retry.
"""

# What the start checks say of a fault that needs a rebuild.
_REBUILD = 'compute its rows again: `medallion rebuild {} --reason "…" --yes`'


@dataclass(frozen=True)
class Site:
    """A place that makes an error."""

    code: str
    exit_codes: tuple[int, ...]
    what: str
    next_step: str


def sites() -> Iterator[Site]:
    for file in sorted(PACKAGE.rglob("*.py")):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and (found := _site(call)):
                yield found


def _site(call: ast.Call) -> Site | None:
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    if name in ("_refusal", "Fault"):
        code, what, *fix = call.args[name == "_refusal" :]
        if not isinstance(code, ast.Constant):
            return None  # it hands on a fault
        next_step = 'restore what is missing, or `medallion checkpoint reset {} --reason "…"`'
        exits = (errors.Refused.exit_code,)
        said = _text(fix[0]) if fix else next_step
        if "needs_rebuild" in named:
            said = "; ".join(filter(None, (_REBUILD, _text(fix[0]) if fix else "")))
        return Site(str(code.value), exits, _text(what), said)
    code_of = named.get("code")
    if name == "LockHeld":
        code, kinds = "query_already_running", [errors.LockHeld]
    elif isinstance(code_of, ast.Constant):
        code = str(code_of.value)
        kind = getattr(errors, name, None) or {
            "kind": [errors.TransientError, errors.UsageError],
            "worst_kind": [
                *(errors.TransientError, errors.DataError),
                *(errors.UsageError, errors.MedallionError),
            ],
        }.get(name, errors.UsageError)
        kinds = kind if isinstance(kind, list) else [kind]
    else:
        return None
    what = call.args[0] if call.args else ast.Constant("the config has {} mistakes")
    said = _text(what)
    if name == "NoSuchColumn":
        said += " has no column {}; it has {}"
    exits = tuple(sorted({kind.exit_code for kind in kinds if issubclass(kind, MedallionError)}))
    return Site(code, exits, said, _text(named.get("next_step", ast.Constant(""))))


def _text(node: ast.expr) -> str:
    """What an expression comes to, with `{}` for what is filled in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    if isinstance(node, ast.IfExp):
        both = (_text(node.body), _text(node.orelse))
        return " / ".join(text for text in both if text not in ("", "{}")) or "{}"
    return "{}"


def page() -> str:
    by_code: dict[str, list[Site]] = defaultdict(list)
    for site in sites():
        by_code[site.code].append(site)
    lines = [_HEAD, "| code | exit | what happened | what to do |", "|---|---|---|---|"]
    for code, places in sorted(by_code.items()):
        exits = ", ".join(str(e) for e in sorted({e for site in places for e in site.exit_codes}))
        what = "<br>".join(dict.fromkeys(_cell(site.what) for site in places))
        fix = "<br>".join(dict.fromkeys(_cell(site.next_step) for site in places if site.next_step))
        lines.append(f"| `{code}` | {exits} | {what} | {fix} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip().strip(":").strip()


if __name__ == "__main__":
    print(page(), end="")
