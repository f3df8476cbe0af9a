"""Keys, releases, signing and sticks, on the release engineer's machine."""
