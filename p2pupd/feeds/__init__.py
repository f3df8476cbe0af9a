"""Where releases come from. A feed yields offers; it carries and never believes."""
