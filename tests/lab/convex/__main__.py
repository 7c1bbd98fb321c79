"""`python -m tests.lab.convex FILE`: writes the stand-in and says how large it is."""

from __future__ import annotations

import os
import sys

from tests.lab.convex.make import make


def main() -> None:
    """Take the one argument there is."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.lab.convex FILE")
    outfile = sys.argv[1]
    make(outfile)
    size = os.path.getsize(outfile)
    sys.stdout.write(f"{outfile}: stand-in for the Convex backend, {size / 1e6:.1f} MB ({size} bytes)\n")


if __name__ == "__main__":
    main()
