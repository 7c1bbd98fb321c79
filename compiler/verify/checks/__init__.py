"""The table of checks: to add one, write its function in the module of its subject and a row here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.verify.checks import boot, confinement, data, routes, secrecy, services, stopping
from compiler.verify.result import Check

if TYPE_CHECKING:
    from compiler.model import App


def _supervised(app: App) -> bool:
    return app.supervised


def _ordered(app: App) -> bool:
    return app.supervised and any(service.after for service in app.services)


def _secrets(app: App) -> bool:
    return bool(app.secrets)


def _volumes(app: App) -> bool:
    return bool(app.volumes)


CHECKS: tuple[Check, ...] = (
    Check("build", "the image is built from the Dockerfile", boot.build),
    Check("healthy", "the container is healthy within its time, from empty volumes", boot.healthy),
    Check("states", "every service is in its declared state", services.states),
    Check("accounts", "every process runs under its service's account", services.accounts),
    Check("order", "no service started before what it comes after was ready", services.order, _ordered),
    Check("listeners", "every service listens on its declared port, and nothing else does", services.listeners),
    Check("published", "nothing is published but what the spec publishes", services.published),
    Check("routes", "every route is answered by whom it declares", routes.answers, routes.published),
    Check("forwarding", "services get what the spec says, and nothing forged", routes.forwarding, routes.forwards),
    Check("silence", "silent connections live as long as declared", routes.silence, routes.waits),
    Check(
        "confinement", "read-only root, the declared capabilities, no new privileges, limits", confinement.confinement
    ),
    Check("written", "nothing is written outside volumes and temporary directories", confinement.written),
    Check("secrets", "secrets are made once, kept 0600, and shown to nobody else", secrecy.secrecy, _secrets),
    Check("restart", "data survives a restart", data.restart, _volumes),
    Check("recreate", "data survives a down and up", data.recreate, _volumes),
    Check("rebuild", "data survives another build of the image", data.rebuild, _volumes),
    Check("bound", "the first start works on an empty directory of the host", data.bound, _volumes),
    Check("owners", "wrong owners on a volume are mended, or refused clearly", data.owners, _volumes),
    Check("stop", "a stop ends every service in order, within its time", stopping.stop),
)
