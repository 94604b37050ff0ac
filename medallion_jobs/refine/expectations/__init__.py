"""Quality: what could not go on, and why."""
