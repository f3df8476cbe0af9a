"""Bootloader adaptors: one dialect of the boot environment each (docs/bootloaders.md)."""
