"""Consecutive Debian images, and what updating from one to the next costs on the wire."""
