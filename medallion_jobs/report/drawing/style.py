"""The style sheets of drawings, in light and dark colours."""

from __future__ import annotations

MONO = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace'
SANS = 'system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif'

_EDGES = "fill: none; stroke-width: 1.5;"

DRAWING = f"""
.name {{ font: 600 13px {MONO}; fill: #1f2933; }}
.does {{ font: 11px {SANS}; fill: #3e4c59; }}
.more, .label {{ font: 11px {SANS}; fill: #616e7c; }}
.fact {{ font: 11px {SANS}; fill: #1d6f42; }}
.layer {{ font: 600 12px {SANS}; letter-spacing: 0.06em; fill: #616e7c; }}
.band {{ fill: #f3f5f7; }}
.box {{ fill: #ffffff; stroke: #9aa5b1; }}
.outside .box {{ stroke-dasharray: 5 4; fill: none; }}
.rule {{ stroke: #d5dbe1; }}
.landing .box {{ stroke: #5a7fb0; }} .landing .side {{ fill: #5a7fb0; }}
.bronze .box {{ stroke: #a9673b; }} .bronze .side {{ fill: #a9673b; }}
.silver .box {{ stroke: #8593a1; }} .silver .side {{ fill: #8593a1; }}
.gold .box {{ stroke: #c0930f; }} .gold .side {{ fill: #c0930f; }}
.sink .box {{ stroke: #3d8b76; }} .sink .side {{ fill: #3d8b76; }}
.rows {{ {_EDGES} stroke: #52606d; }} .head-rows {{ fill: #52606d; }}
.lookup {{ {_EDGES} stroke: #7d5fb2; stroke-dasharray: 6 4; }}
.head-lookup, .head-reference {{ fill: #7d5fb2; }}
.reference {{ {_EDGES} stroke: #7d5fb2; stroke-dasharray: 1.5 4; stroke-linecap: round; }}
@media (prefers-color-scheme: dark) {{
  .name {{ fill: #eef1f4; }}
  .does {{ fill: #cbd2d9; }}
  .more, .label, .layer {{ fill: #9aa5b1; }}
  .fact {{ fill: #6fcf97; }}
  .band {{ fill: #1c2228; }}
  .box {{ fill: #262e36; }}
  .rule {{ stroke: #3e4c59; }}
  .landing .box {{ stroke: #7ea3d4; }} .landing .side {{ fill: #7ea3d4; }}
  .bronze .box {{ stroke: #cf8a58; }} .bronze .side {{ fill: #cf8a58; }}
  .silver .box {{ stroke: #a7b3bf; }} .silver .side {{ fill: #a7b3bf; }}
  .gold .box {{ stroke: #e3b93c; }} .gold .side {{ fill: #e3b93c; }}
  .sink .box {{ stroke: #5fb79f; }} .sink .side {{ fill: #5fb79f; }}
  .rows {{ stroke: #9aa5b1; }} .head-rows {{ fill: #9aa5b1; }}
  .lookup, .reference {{ stroke: #b39ddb; }} .head-lookup, .head-reference {{ fill: #b39ddb; }}
}}
"""

PAGE = f"""
:root {{ color-scheme: light dark; }}
body {{ margin: 2rem; font: 15px/1.5 {SANS}; color: #1f2933; background: #ffffff; }}
h1 {{ font-size: 1.4rem; margin: 0; }}
p {{ margin: 0.2rem 0 1.2rem; color: #616e7c; }}
.drawing {{ overflow-x: auto; }}
.drawing svg {{ max-width: 100%; min-width: 56rem; height: auto; display: block; }}
.legend {{ display: flex; flex-wrap: wrap; gap: 0.4rem 1.6rem; margin: 1.2rem 0 0; padding: 0; }}
.legend li {{ display: flex; align-items: center; gap: 0.5rem; list-style: none; font-size: 13px; }}
@media (prefers-color-scheme: dark) {{
  body {{ color: #eef1f4; background: #12171c; }}
  p {{ color: #9aa5b1; }}
}}
"""
