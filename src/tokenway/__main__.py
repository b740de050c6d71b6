"""`python -m tokenway` is the same as `tokenway`."""

from tokenway.cli.begin import main

if __name__ == "__main__":
    main()
