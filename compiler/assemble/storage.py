"""What outlives the container: volumes, their directories, and the database."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from compiler.model import Database, Directory, Volume

if TYPE_CHECKING:
    from compiler.assemble.references import Data
    from compiler.model import Service


def volumes(data: Data) -> tuple[Volume, ...]:
    """The volumes with the directories that the spec declares."""
    return tuple(
        Volume(
            name=name,
            mount=volume["mount"],
            bind=volume.get("bind", ""),
            variable=volume.get("variable", f"{data['name']}_{name}_path".replace("-", "_").upper()),
            owner=volume.get("owner", "root"),
            group=volume.get("owner", "root"),
            mode=volume.get("mode", "0755"),
            directories=tuple(
                Directory(
                    target=f"{volume['mount']}/{inner}",
                    owner=d if isinstance(d, str) else d["owner"],
                    mode="0700" if isinstance(d, str) else d.get("mode", "0700"),
                    path=("volumes", name, "directories", inner),
                )
                for inner, d in volume.get("directories", {}).items()
            ),
            path=("volumes", name),
        )
        for name, volume in data.get("volumes", {}).items()
    )


def data_directories(data: Data, volumes: tuple[Volume, ...]) -> dict[str, str]:
    """Where each service keeps its data; ``true`` is a directory of its name on the first volume."""
    found = {}
    for name, service in data["services"].items():
        wanted = service.get("data", "")
        mount = volumes[0].mount if volumes else f"/run/{data['name']}"
        found[name] = (f"{mount}/{name}" if wanted is True else wanted) or ""
    return found


def with_directories(
    volumes: tuple[Volume, ...], services: tuple[Service, ...], database: Database | None
) -> tuple[Volume, ...]:
    """The volumes with the services' data directories; where a database lies, its owner may create files."""
    completed = []
    for volume in volumes:
        declared = {directory.target for directory in volume.directories}
        own = [
            Directory(service.data, service.user, "0700", (*service.path, "data"))
            for service in services
            if service.data.startswith(f"{volume.mount}/") and service.data not in declared
        ]
        changed = volume._replace(directories=(*volume.directories, *own))
        if database and posixpath.dirname(database.file) == volume.mount and volume.owner != database.owner:
            # SQLite keeps its journal beside the file, so its owner must be able to create files there; the sticky bit
            # keeps it from renaming what belongs to others.
            changed = changed._replace(group=database.owner, mode=f"{int(volume.mode, 8) | 0o1070:04o}")
        completed.append(changed)
    return tuple(completed)


def database(data: Data, volumes: tuple[Volume, ...]) -> Database | None:
    """The SQLite database, if there is one."""
    database = data.get("database")
    if not database:
        return None
    mounts = {volume.name: volume.mount for volume in volumes}
    mount = mounts.get(database.get("volume", next(iter(mounts), "")), "")
    return Database(
        file=f"{mount}/{database['file']}",
        owner=database["owner"],
        schema=database.get("schema", ""),
        migrations=database.get("migrations", ""),
        path=("database",),
    )
