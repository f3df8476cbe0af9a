"""Into the spare slot and back. Called by the engine's handlers."""
