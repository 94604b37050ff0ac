"""From a source's row to a row of the table: select, cast, parse, compute."""
