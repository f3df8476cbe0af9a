"""A floor of containers with a memory limit each, and what memory they take."""
