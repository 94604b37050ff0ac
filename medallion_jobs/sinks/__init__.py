"""Where gold is loaded to, beside its Delta table."""
