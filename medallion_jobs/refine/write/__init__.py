"""How rows get into a silver table: append, upsert, SCD type 2, without duplicates."""
