"""How fast a floor is updated, by p2pupd and by what one would use instead; see __main__.py."""
