"""The refinery: what one micro-batch of a silver table goes through."""
