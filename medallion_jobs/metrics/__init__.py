"""What jobs emit while they run."""
