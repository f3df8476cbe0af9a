"""`python -m p2pupd` and the `p2pupd` script."""

from p2pupd.cli.app import main

if __name__ == "__main__":
    main()
