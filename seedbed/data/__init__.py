"""Data: read, check, deduplicate, split and freeze the examples of one task."""
