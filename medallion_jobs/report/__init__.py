"""What people read: status, files and query, with no JVM."""
