"""PostgreSQL, Kafka and Kafka Connect with Debezium on this machine, on loopback only.

They are for trying and testing, so they stay outside the package that is installed elsewhere.
"""
