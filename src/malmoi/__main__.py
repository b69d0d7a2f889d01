"""`python -m malmoi` is `malmoi`."""

import sys

from malmoi.cli import main

if __name__ == "__main__":
    sys.exit(main())
