"""`python -m vidnoise` is the command `vidnoise`."""

from vidnoise.cli import main

if __name__ == "__main__":
    main()
