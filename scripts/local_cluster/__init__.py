"""A small Spark cluster on this machine: one master and some workers, on loopback only.

It is for trying and testing, so it stays outside the package that is installed elsewhere.
"""
