"""`python -m pro`."""

from pro.cli import main

main()
