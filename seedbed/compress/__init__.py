"""Smaller models, proven: fewer words, layers, heads, and narrower layers."""
