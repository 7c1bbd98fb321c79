"""Serves the apk repository to containers, on an address that only they and this machine reach."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import os
import sys
import time
from typing import Any

from tests.lab.cache import CACHE, LabError, digest, end, lock, spawn

PORTS = range(18319, 18339)
"""Images carry the address: it is the same again as long as nobody else takes it."""


def publish(content: str) -> None:
    """Make a repository the one that is served, at once for those who are asking."""
    link = os.path.join(CACHE, "repository")
    with contextlib.suppress(FileNotFoundError):
        os.remove(f"{link}.new")
    os.symlink(content, f"{link}.new")
    os.rename(f"{link}.new", link)


def serve(address: str) -> str:
    """The address of the repository for containers, served from now on; a live server is used again."""
    with lock(f"server-{address}"):
        answers = {port: _who_answers(address, port) for port in PORTS}
        ours = [port for port, name in answers.items() if name == _name()]
        free = [port for port, name in answers.items() if not name]
        if not ours and not free:
            raise LabError(f"no port is free on {address} from {PORTS[0]} to {PORTS[-1]}")
        port = ours[0] if ours else _start(address, free[0])
    return f"http://{address}:{port}"


def _start(address: str, port: int) -> int:
    log = os.path.join(CACHE, f"server-{address}.log")
    spawn((sys.executable, "-m", "tests.lab.server", address, str(port), CACHE), log, os.environ)
    for _ in range(200):
        if _who_answers(address, port):
            return port
        time.sleep(0.05)
    raise LabError(f"the package repository cannot be served on {address}:{port}: see {log}")


def stop(address: str) -> None:
    """Stop the server on an address, if it is ours and runs."""
    with contextlib.suppress(FileNotFoundError):
        end(_pid_file(CACHE, address), "python")


def _pid_file(cache: str, address: str) -> str:
    return os.path.join(cache, f"server-{address}.pid")


def _name() -> str:
    """What the server of this very cache calls itself: other clones on this machine have keys of their own."""
    return f"appos-lab/{digest(CACHE)}"


def _who_answers(address: str, port: int) -> str:
    connection = http.client.HTTPConnection(address, port, timeout=2)
    try:
        connection.request("HEAD", "/")
        return connection.getresponse().getheader("Server") or "somebody"
    except ConnectionRefusedError:
        return ""
    except (OSError, http.client.HTTPException):
        return "somebody"
    finally:
        connection.close()


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves what is published at the moment; ``folder`` is the cache."""

    folder = CACHE
    sys_version = ""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args, directory=os.path.join(self.folder, "repository"))

    def version_string(self) -> str:
        """Say whose server this is."""
        return f"appos-lab/{digest(self.folder)}"


def main() -> None:
    """Serve on the address and port in the first two arguments, out of the cache in the third, until stopped."""
    address, port, Handler.folder = sys.argv[1:]
    with open(_pid_file(Handler.folder, address), "w", encoding="ascii") as file:
        file.write(str(os.getpid()))
    # Several builds ask at once.
    with http.server.ThreadingHTTPServer((address, int(port)), Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
