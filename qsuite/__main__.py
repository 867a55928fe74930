"""``python -m qsuite``: the same as the command ``qsuite``."""

from qsuite.cli import main

if __name__ == "__main__":
    main()
