"""Bytes from many: one libtorrent session. Owner of libtorrent; called by the engine's handlers."""
