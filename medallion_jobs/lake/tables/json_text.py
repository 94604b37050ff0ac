"""The JSON format of values, wherever they are compared or stored as JSON text."""

from __future__ import annotations

# Options of `to_json`, which by default truncates timestamps to milliseconds.
JSON_TEXT = {
    "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "timestampNTZFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS",
}
