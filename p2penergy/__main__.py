"""`python -m p2penergy` is the command line."""

from p2penergy.cli import main

main()
