"""The only door to the operating system: durable files, processes, clock, power, mounts."""
