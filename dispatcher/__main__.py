"""`python -m dispatcher` is the command `dispatcher`."""

from dispatcher.cli.main import main

main()
