"""Who is there: neighbours by mDNS and by configuration. Called by the composition root only."""
