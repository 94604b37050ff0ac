"""What is wrong with a lake, or with the machine that is to run it: findings, each with its fix."""

__all__ = ["examination", "finding"]
