"""Makes the lab: `engine`, one that answers; `images`, what the Dockerfiles pull; `list`, what that is made of."""

from __future__ import annotations

import argparse
import sys

from tests.lab import IMAGES, engine, engines, ensure_images
from tests.lab.cache import LabError, say


def main() -> int:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    of_engine = commands.add_parser("engine", help="find or start an engine; prints what reaches it")
    of_engine.add_argument("--version", choices=engines.KINDS, help="start this one, whatever answers already")
    of_engine.add_argument("--stop", action="store_true", help="stop what the lab started")
    of_images = commands.add_parser("images", help="make what is missing or out of date")
    of_images.add_argument("names", nargs="*", metavar="NAME", help="only these; what there is: see list")
    commands.add_parser("list", help="say what each image is made of")
    arguments = parser.parse_args()
    try:
        if arguments.command == "engine":
            return _engine(arguments.version, stop=arguments.stop)
        if arguments.command == "images":
            ensure_images(arguments.names or IMAGES)
            return 0
        return _list()
    except LabError as error:
        say(f"error: {error}")
        return 1


def _engine(version: str | None, *, stop: bool) -> int:
    if stop:
        stopped = [kind for kind in ((version,) if version else engines.KINDS) if engines.stop(kind)]
        say(f"stopped: {', '.join(stopped) or 'none was running'}")
        return 0
    found = None if version else engines.usual()
    if found:
        say(f"engine {found.version} answers already; nothing is started")
        return 0
    engines.start(version or engines.KINDS[0])
    sys.stdout.write(engines.environment_file(version or engines.KINDS[0]) + "\n")
    return 0


def _list() -> int:
    from tests.lab import images

    found = engine()
    if not found:
        raise LabError("no engine answers: python -m tests.lab engine")
    for name in images.RECIPES:
        made_of = images.labels(found, name).get(images.LABEL, "not made")
        sys.stdout.write(f"{name}: {made_of}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
