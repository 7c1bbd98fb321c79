"""The requirement's table for the flagship, line by line, read back from the committed files by their real readers."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest

from tests.readers import compose, dockerfile, nginx, schemas, shell, sqlite, supervisord

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build"
SERVICES = {"redis": 6379, "convex": 3210, "backend": 8080, "nginx": 80}


@functools.lru_cache
def stages(name: str) -> dict[str, dict[str, Any]]:
    """The stages of a Dockerfile by what they begin with; images come without a registry."""
    return {stage["name"] or "runtime": stage for stage in dockerfile.read(str(BUILD / name))["stages"]}


def instructions(stage: dict[str, Any], name: str) -> list[str]:
    return [str(each["code"]) for each in stage["instructions"] if each["name"] == name]


def script(name: str) -> str:
    return (BUILD / name).read_text()


def test_the_ten_files_are_there() -> None:
    required = (
        "Dockerfile Dockerfile.local Dockerfile.dockerignore Dockerfile.local.dockerignore .dockerignore "
        "docker-compose.yml .env supervisord.conf nginx.conf entrypoint.sh"
    )
    assert set(required.split()) <= {path.name for path in BUILD.iterdir()}


def test_production_has_the_three_stages_and_the_libraries_of_convex() -> None:
    bases = {name: stage["base"] for name, stage in stages("Dockerfile").items()}
    assert bases.pop("convex-libraries").startswith("ghcr.io/get-convex/convex-backend:")
    assert {bases.pop(name) for name in ("convex-packed", "backend-packed", "image.files")} == {"alpine:3.19"}
    assert bases == {"dashboard": "node:20-alpine", "backend": "golang:1.22-alpine", "runtime": "alpine:3.19"}


def test_the_dashboard_is_built_to_build_dist() -> None:
    stage = stages("Dockerfile")["dashboard"]
    assert instructions(stage, "WORKDIR") == ["WORKDIR /build"]
    assert any(line.endswith(" npm ci") for line in instructions(stage, "RUN"))
    assert any(line.endswith(" npm run build") for line in instructions(stage, "RUN"))
    copied = instructions(stages("Dockerfile")["runtime"], "COPY")
    assert "COPY --from=dashboard /build/dist /usr/share/nginx/html" in copied


def test_lock_files_are_copied_before_sources_so_that_layers_cache() -> None:
    for name, first in (("dashboard", "package-lock.json"), ("backend", "go.sum")):
        order = [
            (each["name"], each["code"])
            for each in stages("Dockerfile")[name]["instructions"]
            if each["name"] in ("COPY", "RUN")
        ]
        copies = [index for index, (kind, _) in enumerate(order) if kind == "COPY"]
        assert first in order[copies[0]][1]
        assert order[copies[0] + 1][0] == "RUN"
        assert order[copies[1]][1] == f"COPY {name}/ ./"


def test_the_backend_is_built_with_cgo_and_stripped_to_build_main() -> None:
    stage = stages("Dockerfile")["backend"]
    assert "ENV CGO_ENABLED=1" in instructions(stage, "ENV")
    build = next(line for line in instructions(stage, "RUN") if "go build" in line)
    assert '-ldflags="-w -s"' in build
    assert "-o main" in build
    assert any("apk add" in line and "gcc" in line and "musl-dev" in line for line in instructions(stage, "RUN"))
    copied = instructions(stages("Dockerfile")["runtime"], "COPY")
    assert "COPY --from=backend-packed /packed/root/ /" in copied
    packed = stages("Dockerfile")["backend-packed"]
    assert "COPY --chmod=0755 --from=backend /build/main content" in instructions(packed, "COPY")
    assert any("root/usr/local/bin/appos-backend" in line for line in instructions(packed, "RUN"))


def test_local_copies_what_is_already_built() -> None:
    local = stages("Dockerfile.local")
    assert local["runtime"]["base"] == "alpine:3.19"
    assert not {"node:20-alpine", "golang:1.22-alpine"} & {stage["base"] for stage in local.values()}
    sources = {
        source
        for stage in local.values()
        for each in stage["instructions"]
        if each["name"] == "COPY" and not each["detail"]["From"]
        for source in each["detail"]["SourcePaths"]
    }
    assert {"dashboard/dist", "backend/main", "build/convex-backend"} <= sources


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.local"])
def test_the_runtime_packages(name: str) -> None:
    install = next(line for line in instructions(stages(name)["runtime"], "RUN") if "apk add" in line)
    packages = set(install.split("--no-cache ")[1].partition(" &&")[0].split())
    # The last unpacks Convex, which would not fit into 100 MB as it is.
    assert packages == {"nginx", "supervisor", "redis", "ca-certificates", "curl", "sqlite", "zstd"}


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.local"])
def test_the_image_asks_for_the_health_of_the_api(name: str) -> None:
    runtime = stages(name)["runtime"]
    assert instructions(runtime, "EXPOSE") == ["EXPOSE 80"]
    assert instructions(runtime, "VOLUME") == ['VOLUME ["/appos/data"]']
    assert "http://127.0.0.1:80/api/health" in instructions(runtime, "HEALTHCHECK")[0]
    dockerfile.check_floor(str(BUILD / name))


def test_the_convex_binary_is_never_committed() -> None:
    assert "/build/convex-backend" in (ROOT / ".gitignore").read_text().split()


def test_compose_mounts_checks_and_maps_9091_to_80() -> None:
    service = compose.read(str(BUILD / "docker-compose.yml"))["services"]["appos"]
    assert [(port["published"], port["target"], port["protocol"]) for port in service["ports"]] == [("9091", 80, "tcp")]
    assert [volume["target"] for volume in service["volumes"]] == ["/appos/data"]
    assert service["healthcheck"]["test"][-1].endswith("/api/health")
    assert service["image"] == "appos:latest"
    assert service["container_name"] == "appos"
    assert service["build"]["dockerfile"] == "build/Dockerfile"
    assert schemas.compose_problems(str(BUILD / "docker-compose.yml")) == []


def test_compose_takes_privileges_away() -> None:
    service = compose.read(str(BUILD / "docker-compose.yml"))["services"]["appos"]
    assert service["cap_drop"] == ["ALL"]
    assert service["cap_add"] == ["CHOWN", "KILL", "SETGID", "SETUID"]
    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"


def test_env_names_the_variables_and_holds_no_secret() -> None:
    text = (BUILD / ".env").read_text()
    names = re.findall(r"^([A-Z_]+)=", text, re.MULTILINE)
    assert {"HTTP_PORT", "CONTAINER_NAME", "IMAGE_NAME", "APPOS_DATA_PATH"} <= set(names)
    values = compose.dotenv(text, names)
    assert values["HTTP_PORT"] == "9091"
    assert values["CONTAINER_NAME"] == "appos"
    assert values["IMAGE_NAME"] == "appos:latest"
    secrets = {name: value for name, value in values.items() if name.endswith(("PASSWORD", "SECRET"))}
    assert secrets == {"REDIS_PASSWORD": "", "CONVEX_INSTANCE_SECRET": ""}


def test_dockerignore_excludes_what_never_belongs_into_a_context() -> None:
    lines = set((BUILD / ".dockerignore").read_text().split())
    assert {"**/node_modules", "**/.git", "**/*.log"} <= lines


def test_contexts_hold_just_what_is_copied(tmp_path: Path) -> None:
    wanted = "backend/main.go dashboard/src/main.ts schema/appos.sql build/nginx.conf build/entrypoint.sh"
    never = ".git/config dashboard/node_modules/a/index.js backend/x.log README.md build/.env appos.yaml"
    for name in (*wanted.split(), *never.split()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    sent = set(dockerfile.context(str(tmp_path), str(BUILD / "Dockerfile.dockerignore")))
    assert set(wanted.split()) <= sent
    assert not set(never.split()) & sent


def test_supervisord_starts_the_four_services_in_order() -> None:
    programs = supervisord.read(str(BUILD / "supervisord.conf"))["programs"]
    order = sorted((name for name in programs if name in SERVICES), key=lambda name: programs[name]["priority"])
    assert order == list(SERVICES)
    assert {name: programs[name]["user"] for name in order} == {
        "redis": "redis",
        "convex": "convex",
        "backend": "appos",
        "nginx": "root",
    }
    assert programs["convex"]["stopsignal"] == "SIGINT"
    assert programs["nginx"]["stopsignal"] == "SIGQUIT"
    assert all(programs[name]["stdout_logfile_maxbytes"] == 0 for name in order)


def test_the_grace_time_is_the_sum_of_the_services() -> None:
    programs = supervisord.read(str(BUILD / "supervisord.conf"))["programs"]
    total = sum(programs[name]["stopwaitsecs"] for name in SERVICES)
    service = compose.read(str(BUILD / "docker-compose.yml"))["services"]["appos"]
    assert service["stop_grace_period"] == f"{total + 5}s"


def test_each_service_listens_on_its_port() -> None:
    started = script("start-service.sh")
    assert "port 6379" in started
    assert "--port=3210" in started
    assert "LISTEN_ADDRESS=127.0.0.1:8080" in started
    assert re.search(r"listen 80 default_server;", script("nginx.conf"))


def test_nginx_routes_dashboard_api_and_terminal() -> None:
    text = script("nginx.conf")
    blocks = dict(re.findall(r"^        location ([^{]+) \{\n(.*?)^        \}", text, re.MULTILINE | re.DOTALL))
    assert "root /usr/share/nginx/html;" in blocks["/"]
    assert "proxy_pass http://backend;" in blocks["^~ /api/"]
    assert "proxy_set_header Upgrade $http_upgrade;" in blocks["= /terminal"]
    assert "server 127.0.0.1:8080;" in text
    assert nginx.check(str(BUILD / "nginx.conf")) == []


def test_entrypoint_makes_directories_and_schema_then_starts_supervisord() -> None:
    text = script("entrypoint.sh")
    steps = [
        text.index(word)
        for word in ("adopt /appos/data/redis", "database.sh", "exec /usr/local/lib/appos/supervisord.py")
    ]
    assert steps == sorted(steps)
    for directory in ("redis", "convex", "apps"):
        assert f"/appos/data/{directory} " in text
    assert "/appos/data/appos.db" in script("database.sh")
    assert sqlite.tables((ROOT / "schema" / "appos.sql").read_text())
    for name in ("entrypoint.sh", "start-service.sh", "watch-service.sh", "listener.sh", "database.sh"):
        shell.check(str(BUILD / name))
