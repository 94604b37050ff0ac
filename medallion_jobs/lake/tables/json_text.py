"""How values are written as JSON text, wherever they are compared or kept as such."""

from __future__ import annotations

# Options of `to_json`; by default it writes milliseconds of a moment, and loses the rest.
JSON_TEXT = {
    "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "timestampNTZFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS",
}
