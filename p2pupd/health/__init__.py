"""Is the new release fit to stay? Called by the engine's handlers."""
