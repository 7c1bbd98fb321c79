"""The table of faults: what is done to the container, and what must come of it.

The rule: what lost nothing but a process is back within 1.5 s, everything else within 5 s, or the container ends with
a clear last line so that the restart policy acts. It is never alive and useless, and nothing acknowledged is lost. To
add a fault, write its function in the module of its subject and a row here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.verify.faults import processes, storage, surroundings
from compiler.verify.result import Check

if TYPE_CHECKING:
    from compiler.model import App


def _volumes(app: App) -> bool:
    return bool(app.volumes)


def _ports(app: App) -> bool:
    return app.supervised and any(service.port for service in app.services)


FAULTS: tuple[Check, ...] = (
    Check("killed", "a service that is killed is back within 1.5 s, with processes of its own", processes.killed),
    Check(
        "stopped", "a service that is stopped serves again within 5 s, or the container ends clearly", processes.stopped
    ),
    Check("memory", "a service killed for want of memory is back within 5 s", processes.memory),
    Check("looping", "a service that keeps ending ends the container clearly, and it comes back", processes.looping),
    Check("port", "a service whose port is taken gets it back, or ends the container clearly", processes.port, _ports),
    Check("damage", "a file that lost its end costs nothing but its last entry", storage.damage, storage.damaged),
    Check("full", "a full volume loses nothing acknowledged; room again is noticed within 5 s", storage.full, _volumes),
    Check("readonly", "a volume that cannot be written to is refused at the start", storage.readonly, _volumes),
    Check("clock", "files dated ahead of the clock, or in 1970, hinder no start", surroundings.clock, _volumes),
    Check("crash", "a container killed at any moment starts again, with all that was kept", surroundings.crash),
    Check("network", "without a network the container is as healthy", surroundings.network),
)
