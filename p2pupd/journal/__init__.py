"""What must not be forgotten, in SQLite on disk. Called by the engine."""
