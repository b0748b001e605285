"""`python -m toccata`: the command line."""

from toccata.cli import main

if __name__ == "__main__":
    main()
