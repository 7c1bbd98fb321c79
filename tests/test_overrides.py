"""Templates of the user's own can do no more than lay out what the compiler knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.running import appos

if TYPE_CHECKING:
    from pathlib import Path

SPEC = """\
version: 1
name: own
image: {base: "alpine:3.24"}
services: {web: {command: [/bin/web], user: web, port: 8080}}
outputs: {.env: env.j2}
"""


@pytest.mark.parametrize(
    "text",
    [
        '{% include "/etc/hostname" %}',
        '{% include "../schema/appos.sql" %}',
        "{{ app.__class__.__mro__[1].__subclasses__() }}",
        "{{ ''.__class__ }}",
        "{{ app._replace(name='x').name }}",
    ],
)
def test_a_template_reads_no_other_file_and_runs_no_code(tmp_path: Path, text: str) -> None:
    (tmp_path / "appos.yaml").write_text(SPEC)
    (tmp_path / "env.j2").write_text(f"A=1\n{text}\n")
    done = appos(cwd=tmp_path)
    assert done.status == 2
    assert "E048" in done.err
    assert "env.j2:2" in done.err
    assert not (tmp_path / "build").exists()


def test_a_template_sees_the_model_and_the_filters(tmp_path: Path) -> None:
    (tmp_path / "appos.yaml").write_text(SPEC)
    (tmp_path / "env.j2").write_text("NAME={{ app.name | sh }}\nPORTS={{ app.services | length }}\n")
    assert appos(cwd=tmp_path).status == 0
    assert (tmp_path / "build" / ".env").read_text() == "NAME=own\nPORTS=1\n"
