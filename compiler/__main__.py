"""The command ``appos-compile``: the quickest way that the arguments and the state of the files allow."""

from __future__ import annotations

import os
import sys

from compiler import quick


def main() -> int:
    """Runs the command and returns its exit status."""
    if not any(name.endswith("_COMPLETE") for name in os.environ):
        status = quick.run(sys.argv[1:])
        if status is not None:
            return status
    from compiler import guard

    return guard.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
