"""A preset is data, an output is a template and a row: both are added to a copy of the repository, and then used."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.running import ROOT, command, environment

if TYPE_CHECKING:
    from pathlib import Path

PRESET = """\
title: Gopher
sources:
  - "Port, flags and signals: https://example.org/gopher/manual"
service:
  command: [gopherd, --foreground, '--port=${self.port}', '--root=${self.data}']
  user: gopher
  port: 7070
  protocol: tcp
  data: true
  stop: {signal: INT, grace: 3s}
  environment:
    GOPHER_TOKEN: ${self.secret.token}
secrets:
  token: {description: Token of Gopher, format: hex}
families:
  alpine: {packages: [gopherd]}
  debian: {packages: [gopher-server]}
"""
CASE = """\
version: 1
name: burrow
image: {base: alpine:3.24}
services:
  holes: {preset: gopher}
  web: {preset: nginx, port: 80, after: [holes]}
routes:
  /: {static: /srv/www}
volumes:
  data: {mount: /data}
ports:
  http: {publish: 8080, service: web}
  gopher: {publish: 7070, service: holes}
"""
TEMPLATE = """\
{% from "_header.j2" import header %}
{{ header(app, "Runs the container under systemd: a quadlet, see podman-systemd.unit(5).") }}
[Container]
Image={{ app.image.reference }}
{% for port in app.ports %}
PublishPort={{ port.publish }}:{{ port.target }}
{% endfor %}
"""
ROW = '    Output("quadlet.container", 0o644, lambda app: bool(app.ports)),\n'


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    copy = tmp_path / "repository"
    for name in ("compiler", "schema", "templates"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "compiled.py", "test_cases.py"):
        (copy / "tests").mkdir(exist_ok=True)
        shutil.copy(ROOT / "tests" / name, copy / "tests" / name)
    case = copy / "tests" / "cases" / "burrow"
    case.mkdir(parents=True)
    (case / "appos.yaml").write_text(CASE)
    shutil.copy(ROOT / "appos.yaml", copy / "appos.yaml")
    shutil.copy(ROOT / "pyproject.toml", copy / "pyproject.toml")
    return copy


def _appos(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the copy's own command on the case."""
    return subprocess.run(
        command(*arguments),
        cwd=repository / "tests" / "cases" / "burrow",
        env=environment(root=repository),
        capture_output=True,
        text=True,
        check=False,
    )


def _python_of(repository: Path) -> dict[str, bytes]:
    # What is generated is no code of ours.
    return {str(path): path.read_bytes() for path in repository.rglob("*.py") if path.parent.name != "build"}


def test_a_preset_and_a_case_touch_only_data(repository: Path) -> None:
    python = _python_of(repository)
    missing = _appos(repository)
    assert (missing.returncode, 'there is no preset "gopher"' in missing.stderr) == (2, True)
    (repository / "schema" / "presets" / "gopher.yaml").write_text(PRESET)
    done = _appos(repository, "--strict")
    assert (done.returncode, done.stderr) == (0, "")
    build = repository / "tests" / "cases" / "burrow" / "build"
    assert "--port=7070 --root=/data/holes" in (build / "start-service.sh").read_text()
    assert "apk add --no-cache gopherd nginx supervisor" in (build / "Dockerfile").read_text()
    assert "\nHOLES_TOKEN=\n" in (build / ".env").read_text()
    supervisord = (build / "supervisord.conf").read_text()
    assert re.search(r"\[program:holes\].*?stopsignal=INT\nstopwaitsecs=3\n", supervisord, re.DOTALL)
    compose = yaml.safe_load((build / "docker-compose.yml").read_text())
    assert compose["services"]["burrow"]["ports"] == ["${HTTP_PORT:-8080}:80", "${GOPHER_PORT:-7070}:7070"]
    assert "gopher" in _appos(repository, "init", "-f", "other.yaml", "--with", "gpher").stderr
    assert _python_of(repository) == python


def test_a_new_case_is_found_and_pinned_without_a_line_of_code(repository: Path) -> None:
    python = _python_of(repository)
    (repository / "schema" / "presets" / "gopher.yaml").write_text(PRESET)

    def tests(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                "-k",
                "burrow",
                *arguments,
                "tests/test_cases.py",
            ],
            cwd=repository,
            env=environment({"PYTHONDONTWRITEBYTECODE": "1"}, repository),
            capture_output=True,
            text=True,
            check=False,
        )

    update = tests("--snapshot-update")
    assert update.returncode == 0, update.stdout
    snapshots = [path.name for path in (repository / "tests" / "__snapshots__").rglob("*") if path.is_file()]
    assert any("burrow" in name and "supervisord.conf" in name for name in snapshots)
    assert tests().returncode == 0
    preset = repository / "schema" / "presets" / "gopher.yaml"
    preset.write_text(PRESET.replace("grace: 3s", "grace: 4s"))
    changed = tests()
    assert changed.returncode == 1
    assert re.search(r"^E .*stop_grace_period: 19s$", changed.stdout, re.MULTILINE), changed.stdout
    assert _python_of(repository) == python


def test_an_output_touches_one_template_and_one_row(repository: Path) -> None:
    (repository / "schema" / "presets" / "gopher.yaml").write_text(PRESET)
    assert _appos(repository, "-q").returncode == 0
    build = repository / "tests" / "cases" / "burrow" / "build"
    before = {path.name: path.read_bytes() for path in build.iterdir()}
    python = _python_of(repository)

    (repository / "templates" / "quadlet.container.j2").write_text(TEMPLATE)
    table = repository / "compiler" / "outputs.py"
    rows = table.read_text()
    table.write_text(re.sub(r"(OUTPUTS[^\n]*= \(\n)", r"\1" + ROW.replace("\\", r"\\"), rows, count=1))
    assert len(table.read_text().splitlines()) == len(rows.splitlines()) + 1

    done = _appos(repository)
    assert (done.returncode, done.stderr) == (0, "")
    assert "created build/quadlet.container +6 -0\n" in done.stdout
    assert (build / "quadlet.container").read_text() == (
        "# Generated by appos-compile from appos.yaml. Do not edit: change appos.yaml and run appos-compile.\n"
        "# Runs the container under systemd: a quadlet, see podman-systemd.unit(5).\n"
        "[Container]\nImage=burrow:local\nPublishPort=8080:80\nPublishPort=7070:7070\n"
    )
    own = (".appos-compile.sums", ".gitattributes", "quadlet.container")
    after = {path.name: path.read_bytes() for path in build.iterdir()}
    assert {k: v for k, v in after.items() if k not in own} == {k: v for k, v in before.items() if k not in own}

    # It is an output like any other: checked, protected, printed, replaced and switched off.
    assert _appos(repository, "--check").returncode == 0
    (build / "quadlet.container").write_text("mine\n")
    assert "build/quadlet.container was edited by hand" in _appos(repository).stderr
    assert _appos(repository, "template", "quadlet.container").stdout == TEMPLATE
    spec = repository / "tests" / "cases" / "burrow" / "appos.yaml"
    (spec.parent / "mine.j2").write_text("[Container]\nImage={{ app.name }}\n")
    spec.write_text(CASE + "outputs: {quadlet.container: mine.j2}\n")
    assert _appos(repository, "--force").returncode == 0
    assert (build / "quadlet.container").read_text() == "[Container]\nImage=burrow\n"
    spec.write_text(CASE + "outputs: {quadlet.container: false}\n")
    assert "removed build/quadlet.container" in _appos(repository).stdout

    changed = {name for name, text in _python_of(repository).items() if python.get(name) != text}
    assert changed <= {str(table)}
