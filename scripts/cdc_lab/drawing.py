"""A picture of what the warehouse has: the turnover of each day, as bars in an SVG."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from xml.sax.saxutils import escape

from cdc_lab.postgres import Postgres
from medallion_jobs.errors import UsageError

_WIDTH, _HEIGHT, _MARGIN = 960, 360, 60
_LABELS = 8
_TURNOVER = """
    SELECT day, sum(total) FROM warehouse.orders_daily
    WHERE state IN ('paid', 'sent') AND day IS NOT NULL GROUP BY day ORDER BY day
"""
_IS_LOADED = "SELECT to_regclass('warehouse.orders_daily') IS NOT NULL"


def turnover(database: Postgres) -> list[tuple[date, Decimal]]:
    """The turnover of each day, read back from the warehouse.

    Raises:
        UsageError: nothing was loaded into it yet.
    """
    ((is_loaded,),) = database.rows(_IS_LOADED)
    rows = database.rows(_TURNOVER) if is_loaded else []
    if not rows:
        raise UsageError(
            "the warehouse has no table warehouse.orders_daily with rows",
            code="nothing_to_draw",
            untouched="nothing was written",
            next_step="medallion run --config conf/orders_cdc.yaml, then draw again",
        )
    return rows


def bars(rows: Sequence[tuple[date, Decimal]], title: str) -> str:
    """A bar for each day, as an SVG; a day between without a row has none."""
    first, last = rows[0][0], rows[-1][0]
    days = (last - first).days + 1
    most = max(float(total) for _, total in rows) or 1.0
    step = (_WIDTH - 2 * _MARGIN) / days
    floor = _HEIGHT - _MARGIN
    drawn = []
    for day, total in rows:
        height = float(total) / most * (floor - _MARGIN)
        x = _MARGIN + (day - first).days * step
        drawn.append(
            f'<rect x="{x:.1f}" y="{floor - height:.1f}" width="{max(step * 0.8, 1):.1f}" '
            f'height="{height:.1f}"><title>{day}: {total:,}</title></rect>'
        )
    every = max(1, len(rows) // _LABELS)
    for day, _ in rows[::every]:
        x = _MARGIN + ((day - first).days + 0.4) * step
        drawn.append(f'<text x="{x:.1f}" y="{floor + 20}" text-anchor="middle">{day}</text>')
    for part in (0.5, 1.0):
        y = floor - part * (floor - _MARGIN)
        drawn.append(
            f'<line x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_MARGIN - 6}" y="{y + 4:.1f}" text-anchor="end">{most * part:,.0f}</text>'
        )
    style = "rect{fill:#3b6ea5}line{stroke:#ccc}text{font:11px sans-serif;fill:#333}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}"><style>{style} .title{{font-size:15px}}</style>'
        f'<rect width="100%" height="100%" style="fill:#fff"/>'
        f'<text class="title" x="{_MARGIN}" y="30">{escape(title)}</text>{"".join(drawn)}</svg>\n'
    )
