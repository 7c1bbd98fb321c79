"""A name, a base and presets -> a commented spec to start from, and the schema beside it for editors."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from compiler import load, pipeline, resources
from compiler.errors import HostError, Problem, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PRESET = "nginx"
SCHEMA = "appos.schema.json"

_SITE = "/srv/www"
_OWN_HOST = re.compile(r"127\.0\.0\.1|\$\{self\.(host|address)\}")
"""What says that a service listens for the other services of the container only."""


class Service(NamedTuple):
    """A service of the starter, with what its preset says of it."""

    name: str
    title: str
    port: int | None
    after: tuple[str, ...]
    directory: str
    moved: bool
    program: str
    gateway: bool
    fastcgi: bool
    http: bool
    open: bool
    kept: bool
    to_fill_in: tuple[tuple[str, tuple[str, ...]], ...]
    """Files of the preset that hold nothing but comments: name and lines."""


def presets() -> tuple[str, ...]:
    """Return the names of all presets."""
    return tuple(name.removesuffix(".yaml") for name in resources.names("schema", "presets") if name.endswith(".yaml"))


def schema() -> str:
    """Return the schema for editors: with the names of presets and outputs, which the compiler looks up itself."""
    from compiler.outputs import OUTPUTS

    whole = json.loads(resources.read("schema", SCHEMA))
    whole["$defs"]["service"]["properties"]["preset"]["enum"] = list(presets())
    whole["properties"]["outputs"]["propertyNames"] = {"enum": [output.name for output in OUTPUTS]}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def suggested_name(path: str) -> str:
    """Return a name for the application, made from that of the directory the spec goes to."""
    try:
        directory = os.path.basename(os.path.dirname(os.path.abspath(path)))
    except OSError:  # the working directory is gone
        directory = ""
    name = "-".join(re.findall(r"[a-z0-9]+", directory.lower())).lstrip("0123456789-")
    return name[:40].strip("-") or "app"


def suggested_base() -> str:
    """Return the newest Alpine that the compiler knows to be supported."""
    bases = load.parse(resources.read("schema", "bases.yaml").encode(), "schema/bases.yaml").data
    return "alpine:" + str(max(bases["images"]["alpine"].items(), key=lambda tag_and_day: str(tag_and_day[1]))[0])


def checked_name(name: str) -> str:
    """Return the name of the application if a spec may have it; raise ``ValueError`` with the reason otherwise."""
    _refuse(_minimal(name, "alpine"), ("name",))
    return name


def checked_base(base: str) -> str:
    """Return the base image if a spec may have it; raise ``ValueError`` with the reason otherwise."""
    _refuse(_minimal("app", base), ("image",))
    return base


def checked_presets(listed: str) -> tuple[str, ...]:
    """``nginx, redis`` -> the presets; raises ``ValueError`` for one that does not exist."""
    import difflib

    wanted = tuple(dict.fromkeys(word for word in re.split(r"[,\s]+", listed) if word))
    known = presets()
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise ValueError(f'there is no preset "{name}": {hint}')
    return wanted or (PRESET,)


def spec(name: str, base: str, wanted: Sequence[str]) -> str:
    """Return the text of the spec; all arguments are checked ones."""
    services = _services(wanted, base)
    text = _text(name, base, services, ())
    accepted = [(warning.code, _dotted(warning)) for warning in _warnings(text) if warning.path[:1] == ("services",)]
    return _text(name, base, services, accepted) if accepted else text


def refuse_existing(path: str) -> None:
    """Raise ``HostError`` if there is something at ``path`` already."""
    if os.path.lexists(path):
        raise HostError(f"{path} is there already", "init never overwrites: write another one with -f, or move it away")


def write(path: str, text: str) -> Iterator[str]:
    """Write the spec, and the schema beside it unless there is one; say so line by line.

    Raises ``HostError`` if the spec is there already, or if it cannot be written.
    """
    refuse_existing(path)
    _create(path, text)
    yield f"wrote {path}"
    beside = os.path.join(os.path.dirname(path), SCHEMA)
    if not os.path.lexists(beside):
        _create(beside, schema())
        yield f"wrote {beside}, from which editors complete and explain the keys"


def _create(path: str, text: str) -> None:
    try:
        with open(path, "x", encoding="utf-8", newline="") as file:
            try:
                file.write(text)
                file.flush()
            except OSError:
                with suppress(OSError):
                    os.unlink(path)
                raise
    except OSError as error:
        raise HostError(f"{path}: {error.strerror}", "check the directory and its permissions") from error


def _services(wanted: Sequence[str], base: str) -> tuple[Service, ...]:
    family = _family(base)
    facts = {
        name: load.parse(resources.read("schema", "presets", f"{name}.yaml").encode(), name).data for name in wanted
    }
    taken: set[int] = set()
    services: list[Service] = []
    for name in sorted(wanted, key=lambda name: "gateway" in _merged(facts[name], family)):
        service = _merged(facts[name], family)
        port = service.get("port")
        while port in taken:
            port += 1
        taken |= {port} if port else set()
        directory = service.get("directory", "")
        moved = directory in [other.directory for other in services if other.directory]
        program = service["command"][0] if str(service["command"][0]).startswith("/usr/local/") else ""
        services.append(
            Service(
                name=name,
                title=facts[name]["title"],
                port=port,
                after=tuple(s.name for s in services if s.http or s.fastcgi) if "gateway" in service else (),
                directory=f"/srv/{name}" if moved else directory,
                moved=moved,
                program=program,
                gateway="gateway" in service,
                fastcgi=service.get("protocol") == "fastcgi",
                http=bool(port) and service.get("protocol", "http") == "http" and "gateway" not in service,
                open=bool(port) and not _OWN_HOST.search(json.dumps(service)),
                kept=bool(service.get("data")),
                to_fill_in=tuple(_to_fill_in(service.get("files", {}))),
            )
        )
    return tuple(services)


def _to_fill_in(files: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, file in files.items():
        lines = tuple(file.get("content", "").splitlines())
        if lines and all(line.startswith("#") for line in lines):
            yield name, lines


def _preset(name: str) -> str:
    return resources.read("schema", "presets", f"{name}.yaml")


def _merged(preset: dict[str, Any], family: str) -> dict[str, Any]:
    general, special = preset["service"], preset.get("families", {}).get(family) or {}
    return {**general, **special, "files": {**general.get("files", {}), **special.get("files", {})}}


def _family(base: str) -> str:
    document = load.parse(_minimal("app", base).encode(), "appos.yaml")
    return pipeline.model(document, ".")[0].image.family.name


def _text(name: str, base: str, services: tuple[Service, ...], accepted: Sequence[tuple[str, str]]) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - YAML, and everything in it is checked
    )
    gateway = next((service for service in services if service.gateway), None)
    behind = next((service for service in services if service.http or service.fastcgi), None)
    public = gateway or next((service for service in services if service.open), None)
    own_site = _SITE in "".join(_preset(service.name) for service in services)
    return environment.from_string(resources.read("templates", "_starter.yaml.j2")).render(
        name=_scalar(name),
        base=_scalar(base),
        schema=SCHEMA,
        services=services,
        gateway=gateway,
        behind=behind,
        public=public,
        site=_SITE if own_site or (gateway and (not behind or behind.fastcgi)) else "",
        kept=any(service.kept for service in services),
        accepted=accepted,
    )


def _scalar(text: str) -> str:
    """The text as a YAML scalar, in quotes where it would be read as something else."""
    return text if load.parse(f"x: {text}".encode(), "").data == {"x": text} else json.dumps(text)


def _minimal(name: str, base: str) -> str:
    return json.dumps({"version": 1, "name": name, "image": {"base": base}, "services": {"app": {"command": ["app"]}}})


def _refuse(text: str, at: tuple[str, ...]) -> None:
    for problem in _problems(text):
        if problem.severity == "error" and problem.path[: len(at)] in (at, ()):
            raise ValueError(problem.message + (f": {problem.hint}" if problem.hint else ""))


def _problems(text: str) -> tuple[Problem, ...]:
    try:
        return pipeline.model(load.parse(text.encode("utf-8", "surrogatepass"), "appos.yaml"), ".")[1]
    except SpecError as error:
        return error.problems


def _warnings(text: str) -> tuple[Problem, ...]:
    return tuple(problem for problem in _problems(text) if problem.severity == "warning")


def _dotted(problem: Problem) -> str:
    return ".".join(str(step) for step in problem.path[:3])
