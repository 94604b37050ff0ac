"""What the tests with a JVM share: a lake to run in, processes, and an oracle of their own."""
