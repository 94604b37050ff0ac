"""The ledger: every file that was ever seen, and its outcome."""
