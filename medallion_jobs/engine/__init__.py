"""What runs a job: the session, the stream protocol, the supervisor, failures."""
