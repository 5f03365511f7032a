"""Run the command line as `python -m mlkit`."""

from mlkit.cli import main

main()
