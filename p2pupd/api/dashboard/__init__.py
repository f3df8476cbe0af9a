"""The dashboard: pages that any device serves of its floor. It translates, and never decides."""
