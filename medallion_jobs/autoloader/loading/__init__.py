"""One batch: from files to rows, quarantined records, and the account of both."""
