"""The site's own authority: an operator's key, and orders signed with it."""
