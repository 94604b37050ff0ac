"""The plan as text for people: what needs attention first, the rest in one line."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from medallion_jobs.checkpoint import Change
from medallion_jobs.observe.events import counted, format_age, format_bytes
from medallion_jobs.plan.planning import OldRows, Plan, TablePlan
from medallion_jobs.report.rebuild_cost import Cost

_INDENT, _NAME_WIDTH = 4, 20
# Shorter, nothing fits beside a name.
_LEAST_WIDTH = 50
# A name in two parts cannot be copied.
_wrap = partial(textwrap.wrap, break_long_words=False, break_on_hyphens=False)
_STATES = {
    "reset": "reset: the next run reads its source from the start",
    "removed": "not in the config: its table stays, and answers queries",
}

# Marks a piece of text as one of these, such as with a colour.
Paint = Callable[[str, str], str]


def plain(text: str, _kind: str) -> str:
    return text


def lines(plan: Plan, width: int, paint: Paint = plain) -> Iterator[str]:
    """The lines of the plan.

    Args:
        width: columns of the terminal; a command is never broken.
        paint: takes a text and its kind: a state of a table, `old`, `new`, `command`, `name`.
    """
    page = _Page(max(width, _LEAST_WIDTH), paint)
    for table in plan.tables:
        if _needs_words(table):
            yield from page.table(table)
            yield ""
    for state in ("added", "unchanged"):
        names = [t.table for t in plan.tables if t.state == state and not _needs_words(t)]
        if names:
            yield from page.wrapped(f"{state}: {', '.join(names)}", indent=0)
    yield paint(_summary(plan), ("unchanged", "changed", "refused")[plan.exit_code])


def _needs_words(table: TablePlan) -> bool:
    return table.state not in ("added", "unchanged") or bool(table.old_rows)


def _summary(plan: Plan) -> str:
    refused = sum(table.state == "refused" for table in plan.tables)
    if refused:
        return f"a run would refuse {counted(refused, 'table')} of {plan.pipeline}"
    old = sum(bool(table.old_rows) for table in plan.tables)
    if old:
        return f"a run is possible; {counted(old, 'table')} would keep rows of an older logic"
    if plan.exit_code:
        return "a run is possible; some tables are not as the config says, see above"
    return "a run is possible, and no table would keep rows of an older logic"


class _Page:
    def __init__(self, width: int, paint: Paint) -> None:
        self._width = width
        self._paint = paint

    def table(self, table: TablePlan) -> Iterator[str]:
        yield from self._head(table)
        for change in table.changes:
            yield from self._change(change)
        for refusal in table.refusals:
            if refusal.code != "logic_changed":
                yield from self.wrapped(refusal.what)
            if not table.commands:
                yield from self.wrapped(f"next: {refusal.next_step}")
        for text in (*_of_rows(table.old_rows, table.changes), *_of_readers(table)):
            yield from self.wrapped(text)
        if table.table.startswith("bronze.") and table.commands and table.state == "changed":
            yield from self.wrapped("rows of bronze stay; files that gave no row are read again by")
        if table.rebuild and table.commands:
            yield from self.wrapped(_of_cost(table.rebuild, table.readers))
        for command in table.commands:
            yield " " * _INDENT + self._paint(f"$ {command}", "command")

    def _head(self, table: TablePlan) -> Iterator[str]:
        state = _STATES.get(table.state, table.state)
        if table.state == "renamed":
            state = f"renamed, was {table.was}: it is computed again; the old table stays"
        if any(refusal.code == "logic_changed" for refusal in table.refusals):
            state = "refused: what it has computed fits only the logic of its last run"
        if table.state == "unchanged":
            state = "unchanged, with rows of an older logic"
        name = self._paint(table.table, "name")
        first, *more = _wrap(f"{table.table}  {state}", self._width, subsequent_indent="  ")
        yield name + self._paint(first[len(table.table) :], table.state)
        for line in more:
            yield self._paint(line, table.state)

    def _change(self, change: Change) -> Iterator[str]:
        """One line, or the old and the new text one below the other if that is too long."""
        indent, room = " " * _INDENT, self._width - _INDENT
        old, new = (" ".join(text.split()) for text in (change.old, change.new))
        if old and new and len(f"{change.part}: {old} -> {new}") <= room:
            yield (f"{indent}{change.part}: {self._paint(old, 'old')} -> {self._paint(new, 'new')}")
            return
        signs = (("-", old, "old"), ("+", new, "new"))
        if not (old and new) and len(f"+ {change.part}: {old or new}") <= room:
            sign, text, kind = signs[bool(new)]
            yield indent + self._paint(f"{sign} {change.part}: {text}", kind)
            return
        yield f"{indent}{change.part}:"
        for sign, text, kind in signs:
            for place, line in enumerate(_wrap(text, room - 4)):
                yield f"{indent}  " + self._paint(f"{' ' if place else sign} {line}", kind)

    def wrapped(self, text: str, indent: int = _INDENT) -> Iterator[str]:
        """Lines of the text; the lines that it has stay apart."""
        for line in text.split("\n"):
            yield from _wrap(
                line.strip(),
                self._width,
                initial_indent=" " * indent,
                subsequent_indent=" " * (indent + 2 if indent else 2),
            )


def _of_rows(old_rows: Sequence[OldRows], changes: Sequence[Change]) -> Iterator[str]:
    """What is kept as it was, in one line for all parts that changed at the same batch."""
    shown = {change.part for change in changes}
    spans = dict.fromkeys((one.since, one.before, one.rows) for one in old_rows)
    for since, before, rows in spans:
        at = [one for one in old_rows if (one.since, one.before) == (since, before)]
        parts = ", ".join(
            one.part if one.part in shown else f"{one.part} ({one.old or 'none'})" for one in at
        )
        yield (f"{counted(rows, 'row')} of {_batches(since, before)} keep the old logic of {parts}")


def _batches(since: int, before: int) -> str:
    last = before - 1
    return f"batch {last}" if since == last else f"batches {since} to {last}"


def _of_readers(table: TablePlan) -> Iterator[str]:
    if table.readers and table.state == "refused":
        yield f"read by {', '.join(table.readers)}: no new rows until then"
    elif table.readers and table.old_rows:
        yield f"read by {', '.join(table.readers)}: computed from these rows"
    elif table.state == "changed" and not table.old_rows:
        yield "holds from the next start on; no row would differ"
    if table.looked_up_by and table.state == "removed":
        yield f"looked up by {', '.join(table.looked_up_by)}, so it cannot be dropped"
    elif table.looked_up_by and (table.old_rows or table.state == "refused"):
        yield f"looked up by {', '.join(table.looked_up_by)}, whose rows keep what they took"


def _of_cost(cost: Cost, readers: Sequence[str]) -> str:
    time = "" if cost.seconds is None else f", about {format_age(max(cost.seconds, 1))}"
    more = f", then {', '.join(readers)}" if readers else ""
    read = f"{counted(cost.rows, 'row')} in {counted(cost.files, 'file')}"
    return f"a rebuild reads {read}, {format_bytes(cost.bytes)}{time}{more}"
