"""Values: text read strictly as its type, and values as canonical text."""
