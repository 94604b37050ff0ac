"""Which files there are: listings, manifests, and the file systems that they lie on."""
