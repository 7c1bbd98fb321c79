"""What the container may not do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.verify.result import FailedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from compiler.verify.trial import Trial

# fmt: off
CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID",
    "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK",
    "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE",
    "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE",
    "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE",
    "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
    "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)
# fmt: on
"""By the number of their bit: capability.h of Linux."""


def confinement(trial: Trial) -> str:
    """What Compose was told is what the processes have: asked of the processes, and tried."""
    app = trial.app
    view = trial.view()
    first = next(process for process in view.processes if process.pid == 1)
    held = {name for bit, name in enumerate(CAPABILITIES) if first.capabilities >> bit & 1}
    if held != set(app.capabilities):
        raise FailedError(f"capabilities {_listed(app.capabilities)}", _listed(held), ("services",))
    for process in view.processes:
        # What `exec --privileged` put there to look is not the container's own.
        if process.parent == 0 and process.pid != 1:
            continue
        if not process.no_new_privileges:
            raise FailedError(
                "no new privileges for any process", f"process {process.pid} ({process.name}) may gain some"
            )
        if process.uid != 0 and process.capabilities & ~first.capabilities:
            raise FailedError(
                "no service with capabilities beyond the container's", f"process {process.pid} ({process.name})"
            )
    done = trial.run("sh", "-c", "echo x >/usr/verify-probe", user="0")
    if done.status == 0:
        raise FailedError("a root file system that cannot be written to", "a file was written to /usr")
    host = trial.engine.inspect(trial.container)["HostConfig"]
    if app.memory and not 0 < (host["Memory"] or 0) <= app.memory + 2**20:
        raise FailedError(f"memory limited to {app.memory} bytes", str(host["Memory"]), ("services",))
    if (host["PidsLimit"] or 0) != app.pids:
        raise FailedError(f"at most {app.pids} processes", str(host["PidsLimit"]))
    if host["Privileged"]:
        raise FailedError("an unprivileged container", "it is privileged")
    return f"{_listed(held)}; read-only; no new privileges; {app.pids} processes"


def written(trial: Trial) -> str:
    """The engine's list of changes to the container's own layer is empty."""
    temporary = {"/run", "/tmp", *trial.app.scratch}  # noqa: S108 - a name, nothing is put there
    mounts = {volume.mount for volume in trial.app.volumes} | temporary
    lines = trial.engine.tell("diff", trial.container).splitlines()
    # Mount points that the image lacks are made by the engine itself.
    own = [
        line
        for line in lines
        if line and not any(f"{mount}/".startswith(f"{line[2:]}/") for mount in (*mounts, *_ENGINE))
    ]
    if own:
        raise FailedError("no changes in the container's layer", "; ".join(own[:5]))
    return "no changes in the container's layer"


_ENGINE = (
    "/dev/console",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/etc/mtab",
    "/run/.containerenv",
    "/run/secrets",
)


def _listed(names: Iterable[str]) -> str:
    return " ".join(sorted(names)) or "none"
