"""The loop, its handlers and its tasks: the one writer of the device's state."""
