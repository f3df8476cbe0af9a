"""aiohttp at the edge: peer and control API. Translates, never decides."""
