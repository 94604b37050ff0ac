"""Moving or deleting files that are done with, unless somebody else has yet to read them."""
