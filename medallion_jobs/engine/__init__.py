"""Runs jobs: the Spark session, the stream protocol, the supervisor, failures."""
