"""The refinery: how one micro-batch becomes rows of a silver table."""
