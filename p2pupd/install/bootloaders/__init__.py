"""Adaptors, one file per boot environment."""
