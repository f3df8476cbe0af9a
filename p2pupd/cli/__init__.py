"""One file per noun: parses, calls, prints, exits with a documented code."""
