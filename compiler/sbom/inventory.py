"""An image, what was found in its files, and the model of its spec -> an inventory: every part and who wants it."""

from __future__ import annotations

import hashlib
import re
from email.parser import HeaderParser
from typing import TYPE_CHECKING, NamedTuple

from compiler.image import packages as managers
from compiler.sbom import licences, npm
from compiler.sbom.contents import OS_RELEASE, PYTHON, Tree
from compiler.sbom.model import Component, Inventory, clean, holds, merged
from compiler.size import demand

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from compiler.image.model import Image
    from compiler.image.packages import Package
    from compiler.model import App, Artifact, Service
    from compiler.sbom.contents import Content
    from compiler.sbom.gobuild import Build, Module
    from compiler.size.report import Owner
    from compiler.size.steps import Origin
    from compiler.values import Value

IMAGE = "image"
TYPES = {"apk": "apk", "dpkg": "deb"}
"""The types of package URLs, by package manager."""

EMPTY = hashlib.sha256(b"").hexdigest()


class Spec(NamedTuple):
    """What is known of how the image was made: the model, where each layer is from, and the lock files of npm.

    ``locks`` are by the names of artifacts: the file's name and what it says.
    """

    app: App
    origins: Sequence[Origin]
    locks: Mapping[str, tuple[str, npm.Lock]]
    local: bool
    dockerfile: str = ""

    def pinned(self, image: str) -> str:
        """The image with the digest that the Dockerfile has it with, if it has one."""
        found = re.search(rf"(?<![\w./:-]){re.escape(image)}@sha256:[0-9a-f]{{64}}\b", self.dockerfile)
        return found.group() if found else image


def inventory(image: Image, spec: Spec | None, created: datetime) -> Inventory:
    """Everything in the image, which was read with the looks of ``contents``."""
    tree = Tree(image)
    parts = _Parts(tree, image, spec)
    found = list(parts.all())
    name = spec.app.name if spec else _bare(image)
    components = merged(found)
    reached = {ref for component in components for ref in component.depends}
    facts = [("architecture", image.architecture), ("image-id", image.id)]
    facts += [("base-image", spec.pinned(spec.app.image.base))] if spec else []
    root = Component(
        ref=IMAGE,
        kind="image",
        name=name,
        version=image.id,
        facts=tuple(facts),
        # What nobody else asks for is the image's own.
        depends=tuple(component.ref for component in components if component.ref not in reached),
        services=(),
    )
    return Inventory(root, components, image.id, created)


def _bare(image: Image) -> str:
    """The image's name without registry, tag and digest."""
    name = (image.names or (image.name,))[0]
    return re.sub(r"[:@][^/]*$", "", name).rpartition("/")[2] or "image"


class _Parts:
    """Makes the components of an image."""

    def __init__(self, tree: Tree, image: Image, spec: Spec | None) -> None:
        self._tree = tree
        self._spec = spec
        states = list(managers.databases(iter(image.layers)))
        self._packages = [package for package in (states[-1] if states else ()) if package.name]
        base = [state for state, origin in zip(states, spec.origins, strict=True) if origin.base] if spec else []
        self._base = {package.name for package in base[-1]} if base else set()
        self._asked = demand.asked(spec.app) if spec else {}
        self._needed = demand.demand(self._asked, self._packages)
        self._os = _os_release(tree)
        # Debian may have a package for several architectures at once.
        self._refs = {package.name: self._purl(package) for package in self._packages[::-1]}
        self._same = {(package.name, package.architecture): self._purl(package) for package in self._packages}
        self._provided: dict[str, tuple[str, ...]] = {}
        for package in self._packages:
            # A dependency may be a path, such as that of a shell.
            for word in (*package.provides, *(path for path in package.files if "/bin/" in path)):
                self._provided[word] = (*self._provided.get(word, ()), self._purl(package))
        self._owners = {path: package for package in self._packages for path in package.files}
        self._installs: list[tuple[str, Artifact]] = []

    def all(self) -> Iterator[Component]:
        """Every component; some more than once."""
        if self._os:
            yield self._system()
        if self._spec:
            self._installs = [
                (self._tree.resolve(path), artifact)
                for artifact in self._spec.app.artifacts
                for path in self._places(artifact)
            ]
            for service in self._spec.app.services:
                yield self._service(service)
            for artifact in self._spec.app.artifacts:
                yield from self._artifact(artifact)
        for package in self._packages:
            yield self._package(package)
        yield from self._programs()
        yield from self._python()
        yield from self._libraries()

    # --- what the distribution brings

    def _distribution(self) -> str:
        return f"{self._os.get('ID', 'linux')}-{self._os['VERSION_ID']}" if self._os.get("VERSION_ID") else ""

    def _system(self) -> Component:
        name, version = self._os.get("ID", "linux"), self._os.get("VERSION_ID", "")
        return Component(
            ref=f"system:{name}@{version}",
            kind="system",
            name=name,
            version=version,
            facts=(("title", self._os.get("PRETTY_NAME", "")),),
            depends=tuple(self._refs[name] for name in sorted(self._base)),
        )

    def _purl(self, package: Package) -> str:
        # Vulnerabilities are known by the names of source packages.
        source = package.source if package.source != package.name else ""
        return purl(
            TYPES[package.manager],
            package.name,
            package.version,
            namespace=self._os.get("ID", {"apk": "alpine"}.get(package.manager, "debian")),
            qualifiers={"arch": package.architecture, "distro": self._distribution(), "upstream": source},
        )

    def _package(self, package: Package) -> Component:
        owners = self._needed.get(package.name, ())
        others = {str(owner) for owner in owners if owner.kind not in ("service", "artifact")}
        if package.name in self._base and self._spec:
            others.add(f"base {self._spec.app.image.base}")
        return Component(
            ref=self._purl(package),
            kind="package",
            name=package.name,
            version=package.version,
            purl=self._purl(package),
            licence=self._licence(package),
            services=tuple(service for owner in owners for service in self._services(owner)),
            facts=(
                ("manager", package.manager),
                ("source-package", package.source),
                *(("wanted-by", other) for other in sorted(others)),
                *(("wanted-by", str(owner)) for owner in owners if owner.kind == "artifact"),
            ),
            depends=tuple(self._needs(package)),
        )

    def _needs(self, package: Package) -> Iterator[str]:
        """The packages that satisfy what a package depends on."""
        for group in package.depends:
            chosen = next((word for word in group if word in self._refs), None)
            if chosen:
                yield self._same.get((chosen, package.architecture), self._refs[chosen])
                continue
            yield from next((self._provided[word] for word in group if word in self._provided), ())

    def _licence(self, package: Package) -> licences.Licence:
        if package.licence:
            return licences.stated(clean(package.licence))
        return licences.dep5(self._tree.text(f"/usr/share/doc/{package.name}/copyright"))

    # --- what the spec asks for

    def _services(self, owner: Owner) -> tuple[str, ...]:
        if owner.kind == "service":
            return (owner.name,)
        if owner.kind == "artifact" and self._spec:
            return tuple(
                service
                for artifact in self._spec.app.artifacts
                if artifact.name == owner.name
                for service in users(self._spec.app, artifact)
            )
        return ()

    def _service(self, service: Service) -> Component:
        app = self._spec.app if self._spec else None
        own = [names for owner, names in self._asked.items() if (owner.kind, owner.name) == ("service", service.name)]
        artifacts = [
            artifact.name for artifact in (app.artifacts if app else ()) if service.name in users(app, artifact)
        ]
        return Component(
            ref=f"service:{service.name}",
            kind="service",
            name=service.name,
            services=(service.name,),
            facts=(("title", service.title),) if service.title not in ("", service.name) else (),
            depends=(
                *(self._refs[name] for names in own for name in names if name in self._refs),
                *(f"artifact:{name}" for name in artifacts),
            ),
        )

    def _places(self, artifact: Artifact) -> tuple[str, ...]:
        """Where the files of an artifact are in the image."""
        return (self._stored(artifact) if artifact.compress else artifact.install,)

    def _stored(self, artifact: Artifact) -> str:
        return f"{self._spec.app.share}/packed/{artifact.name}" if self._spec else ""

    def _artifact(self, artifact: Artifact) -> Iterator[Component]:
        if not self._spec:
            return
        place = next(path for path, other in self._installs if other is artifact)
        files = self._tree.below(place)
        if not files:
            return
        services = users(self._spec.app, artifact)
        asked = [
            names for owner, names in self._asked.items() if (owner.kind, owner.name) == ("artifact", artifact.name)
        ]
        facts = [*self._source(artifact), ("install", artifact.install)]
        hashes: tuple[tuple[str, str], ...] = ()
        depends = [self._refs[name] for names in asked for name in names if name in self._refs]
        if files == [place]:
            content = self._tree.content(place)
            sha256 = content.sha256 if content else EMPTY
            if artifact.compress:
                facts += [("compressed", artifact.compress), ("stored", place), ("stored-sha256", sha256)]
                sha256 = content.unpacked.sha256 if content and content.unpacked else ""
            hashes = (("sha256", sha256),) if sha256 else ()
        else:
            hashes = (("sha256", self._sum(place, files)),)
            facts += [("files", str(len(files))), ("checksum", "of what sha256sum prints for the files")]
        if artifact.name in self._spec.locks:
            file, lock = self._spec.locks[artifact.name]
            facts.append(("lock", file))
            depends += [_npm_ref(key) for key in lock.wanted]
            yield from (_npm(package, services) for package in lock.packages)
        yield Component(
            ref=f"artifact:{artifact.name}",
            kind="artifact",
            name=artifact.name,
            hashes=hashes,
            url="" if self._spec.local or not artifact.fetch else artifact.fetch.url,
            services=services,
            facts=tuple((name, value) for name, value in facts if value),
            depends=tuple(depends),
        )

    def _source(self, artifact: Artifact) -> Iterator[tuple[str, str]]:
        """Where an artifact came from when this image was built."""
        if self._spec and self._spec.local and artifact.prebuilt:
            yield "source", "prebuilt"
            yield "prebuilt", artifact.prebuilt
        elif artifact.build:
            yield "source", "build"
            yield "build-directory", artifact.build.source
            yield "builder-image", self._spec.pinned(artifact.build.image) if self._spec else artifact.build.image
        elif artifact.copy:
            yield "source", "image"
            yield "source-image", self._spec.pinned(artifact.copy.image) if self._spec else artifact.copy.image
            yield "source-path", artifact.copy.path
        elif artifact.fetch:
            yield "source", "download"
            yield "url", artifact.fetch.url
            for architecture, checksum in artifact.fetch.checksums:
                yield "download-sha256", f"{checksum} {architecture}".strip()
        elif artifact.prebuilt:
            yield "source", "prebuilt"
            yield "prebuilt", artifact.prebuilt

    def _sum(self, place: str, files: Iterable[str]) -> str:
        """The checksum of what ``sha256sum`` prints for the files, sorted by their paths below the directory."""
        digest = hashlib.sha256()
        for path in files:
            content = self._tree.content(path)
            line = f"{content.sha256 if content else EMPTY}  {path[len(place) + 1 :]}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    # --- what is inside of other things

    def _holder(self, path: str) -> tuple[str, tuple[str, ...]]:
        """What a file belongs to, as a ref, and the services that want it."""
        for place, artifact in self._installs:
            if path == place or path.startswith(f"{place}/"):
                return f"artifact:{artifact.name}", users(self._spec.app, artifact) if self._spec else ()
        package = self._owners.get(path) or self._owners.get(path.removeprefix("/usr"))
        if package:
            owners = self._needed.get(package.name, ())
            return self._purl(package), tuple(service for owner in owners for service in self._services(owner))
        return "", ()

    def _programs(self) -> Iterator[Component]:
        """The modules of executables that Go has built, and for each executable what it holds."""
        for path in sorted(self._tree.entries):
            content: Content | None = self._tree.content(path) if self._tree.entries[path].kind == "file" else None
            build = (content.build or (content.unpacked and content.unpacked.build)) if content else None
            if build:
                holder, services = self._holder(path)
                yield from _go(build, path, holder, services)

    def _libraries(self) -> Iterator[Component]:
        """Shared libraries that came along with an artifact from its own image: no package manager here knows them."""
        if not self._spec:
            return
        images = {artifact.name: artifact.copy.image for artifact in self._spec.app.artifacts if artifact.copy}
        for path, entry in sorted(self._tree.entries.items()):
            step = self._spec.origins[entry.layer].step
            if entry.kind == "file" and step and step.owner and step.part[0] == "libraries":
                image = images.get(step.owner.name, "")
                content = self._tree.content(path)
                yield Component(
                    ref=f"file:{path}",
                    kind="file",
                    name=path,
                    hashes=(("sha256", content.sha256 if content else EMPTY),),
                    services=self._services(step.owner),
                    facts=(
                        ("wanted-by", str(step.owner)),
                        *((("source-image", self._spec.pinned(image)),) if image else ()),
                    ),
                )
                yield holds(f"artifact:{step.owner.name}", f"file:{path}")

    def _python(self) -> Iterator[Component]:
        for path, text in self._tree.texts(PYTHON):
            headers = HeaderParser().parsestr(text.partition("\n\n")[0])
            name, version = str(headers["Name"] or "").strip(), str(headers["Version"] or "").strip()
            if not re.fullmatch(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", name):
                continue
            holder, services = self._holder(path)
            stated = str(headers["License-Expression"] or headers["License"] or "")
            found = licences.stated(stated) if len(stated.splitlines()) <= 1 else licences.UNKNOWN
            address = purl("pypi", re.sub(r"[-_.]+", "-", name).lower(), version)
            yield Component(
                ref=address,
                kind="python",
                name=name,
                version=version,
                purl=address,
                licence=found,
                services=services,
                facts=(("found-in", path),),
            )
            if holder:
                yield holds(holder, address)


def users(app: App | None, artifact: Artifact) -> tuple[str, ...]:
    """The services that run an artifact, name a path of it, or serve it."""
    if app is None:
        return ()
    found = [
        service.name for service in app.services if any(_names(text, artifact.install) for text in _texts(service))
    ]
    served = any(route.root and _lies(route.root, artifact.install) for route in app.routes)
    return tuple(sorted({*found, *([app.gateway.name] if served and app.gateway else [])}))


def _texts(service: Service) -> Iterator[Value]:
    yield from service.command
    yield from (value for _, value in service.environment)
    yield from (file.content for file in service.files if file.content)
    yield (service.directory,)


def _names(text: Value, path: str) -> bool:
    at = re.compile(rf"(?<![\w./-]){re.escape(path)}(?![\w.-])")
    return any(isinstance(piece, str) and at.search(piece) for piece in text)


def _lies(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory}/")


def _os_release(tree: Tree) -> dict[str, str]:
    """os-release(5): names and values, without quotes."""
    text = next((found for path in OS_RELEASE if (found := tree.text(path))), "")
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {name: value.strip().strip("\"'") for name, equals, value in pairs if equals}


def _go(build: Build, path: str, holder: str, services: tuple[str, ...]) -> Iterator[Component]:
    refs = []
    for module in (*((build.main,) if build.main else ()), *build.modules):
        made = _module(module, path, services)
        refs.append(made.ref)
        yield made
    # The standard library has the compiler's version; one with a suffix was changed by whoever built it.
    version = re.match(r"go(\d[\w.]*)", build.go)
    if version:
        address = purl("golang", "stdlib", version[1])
        refs.append(address)
        licence = licences.stated("BSD-3-Clause")
        yield Component(
            address, "go", "stdlib", version[1], address, licence, services=services, facts=(("found-in", path),)
        )
    main = refs[0] if build.main else ""
    if main:
        yield holds(main, *refs[1:])
    if holder:
        yield holds(holder, *((main,) if main else refs))


def _module(module: Module, path: str, services: tuple[str, ...]) -> Component:
    version = "" if module.version == "(devel)" else module.version
    namespace, _, name = module.path.rpartition("/")
    address = purl("golang", name, version, namespace=namespace)
    facts = [("found-in", path)]
    facts += [("go-sum", module.sum)] if module.sum else []
    facts += [("replaces", module.replaces)] if module.replaces else []
    facts += [("replaced-by", module.directory)] if module.directory else []
    return Component(address, "go", module.path, version, address, services=services, facts=tuple(facts))


def _npm_ref(key: npm.Key) -> str:
    namespace, _, name = key.name.rpartition("/")
    return purl("npm", name, key.version, namespace=namespace, qualifiers=dict(key.source))


def _npm(package: npm.Package, services: tuple[str, ...]) -> Component:
    address = _npm_ref(package.key)
    return Component(
        ref=address,
        kind="npm",
        name=package.key.name,
        version=package.key.version,
        purl=address,
        licence=licences.stated(package.licence),
        hashes=package.hashes,
        url=package.url,
        services=services,
        depends=tuple(map(_npm_ref, package.depends)),
        optional=package.optional,
    )


def purl(kind: str, name: str, version: str, namespace: str = "", qualifiers: Mapping[str, str] | None = None) -> str:
    """A package URL, as https://github.com/package-url/purl-spec has it."""
    from packageurl import PackageURL

    used = {key: clean(value) for key, value in (qualifiers or {}).items() if value}
    return PackageURL(kind, clean(namespace) or None, clean(name), clean(version) or None, used or None).to_string()
