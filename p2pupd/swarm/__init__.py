"""Bytes from many: BitTorrent or HTTP. Owner of libtorrent; called by the engine's handlers."""
