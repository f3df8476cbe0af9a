"""The chunk pack: make, read, which chunks this device already holds, unpack into a slot.

The format is docs/pack-format.md. The publisher writes; engine, store and install read.
"""
