"""Content by digest, within a quota. Called by the engine's handlers and the peer API."""
