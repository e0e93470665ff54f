"""Load and save any family through transformers and PEFT; adapters; merge. Nothing here trains."""
