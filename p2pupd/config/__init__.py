"""Settings: each room's own class, composed from TOML, every mistake reported at once."""
