"""`python -m medallion_jobs` is `medallion`."""

from medallion_jobs.cli import main

main()
