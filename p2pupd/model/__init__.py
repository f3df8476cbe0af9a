"""Frozen nouns that every floor speaks: no I/O, no behaviour beyond reading themselves."""
