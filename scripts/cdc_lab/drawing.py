"""A picture of what the warehouse has: the turnover of each day, as bars in an SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from xml.sax.saxutils import escape

from cdc_lab.postgres import Postgres
from medallion_jobs.errors import UsageError

_WIDTH, _HEIGHT = 960, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 20, 60, 40
_DATES, _TICKS = 8, 5  # labels, at most
# A day whose totals are all unknown has no turnover.
_TURNOVER = """
    SELECT day, sum(total) FROM warehouse.orders_daily
    WHERE state IN ('paid', 'sent') AND day IS NOT NULL AND total IS NOT NULL
    GROUP BY day ORDER BY day
"""
_IS_LOADED = "SELECT to_regclass('warehouse.orders_daily') IS NOT NULL"
_STYLE = (
    "rect{fill:#3b6ea5} line{stroke:#ddd} .zero{stroke:#666} text{font:12px sans-serif;fill:#444} "
    ".title{font-size:16px;fill:#111}"
)


def turnover(database: Postgres) -> list[tuple[date, Decimal]]:
    """The turnover of each day, read back from the warehouse.

    Raises:
        UsageError: nothing was loaded into it yet.
    """
    ((is_loaded,),) = database.rows(_IS_LOADED)
    rows = database.rows(_TURNOVER) if is_loaded else []
    if not rows:
        raise UsageError(
            "the warehouse has no turnover of any day in warehouse.orders_daily",
            code="nothing_to_draw",
            untouched="nothing was written",
            next_step="medallion run --config conf/orders_cdc.yaml, then draw again",
        )
    return rows


def bars(rows: Sequence[tuple[date, Decimal]], title: str) -> str:
    """A bar for each day, as an SVG; a day between without a row has none.

    Args:
        rows: by day; no total is negative.
    """
    first = rows[0][0]
    days = (rows[-1][0] - first).days + 1
    step = (_WIDTH - _LEFT - _RIGHT) / days
    floor = _HEIGHT - _BOTTOM
    tick = _round_step(max(float(total) for _, total in rows))
    ticks = math.ceil(max(float(total) for _, total in rows) / tick) or 1
    unit = (floor - _TOP) / (tick * ticks)
    drawn = []
    for number in range(ticks + 1):
        y = floor - number * tick * unit
        kind = ' class="zero"' if number == 0 else ""
        drawn.append(
            f'<line{kind} x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number * tick:,.10g}</text>'
        )
    for day, total in rows:
        height = float(total) * unit
        x = _LEFT + ((day - first).days + 0.1) * step
        drawn.append(
            f'<rect x="{x:.1f}" y="{floor - height:.1f}" width="{max(step * 0.8, 1):.1f}" '
            f'height="{height:.1f}"><title>{day}: {total:,}</title></rect>'
        )
    every = math.ceil(days / _DATES)
    for number in range(0, days, every):
        x = _LEFT + (number + 0.5) * step
        day = first + timedelta(days=number)
        drawn.append(f'<text x="{x:.1f}" y="{floor + 20}" text-anchor="middle">{day}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}"><style>{_STYLE}</style>'
        f'<rect width="100%" height="100%" style="fill:#fff"/>'
        f'<text class="title" x="{_LEFT}" y="32">{escape(title)}</text>{"".join(drawn)}</svg>\n'
    )


def _round_step(most: float) -> float:
    """The distance of lines: 1, 2 or 5 with zeros, so that few of them reach `most`."""
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most / _TICKS))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit * _TICKS >= most)
