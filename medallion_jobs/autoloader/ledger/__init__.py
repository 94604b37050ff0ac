"""The ledger: every file that was ever seen, and what became of it."""
