"""The record of what was generated: the text of ``.appos-compile.sums`` to a ``Manifest`` and back.

One line an output, so that git merges it line by line; a merge may leave several lines for one output, and all count.
"""

from __future__ import annotations

import os
from hashlib import sha256

# The fast path reads manifests too: importing typing or collections would cost it as much as starting Python.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Entries = Mapping[str, Sequence["Entry"]]

NAME = ".appos-compile.sums"
TEMPORARY = ".appos-compile.tmp."
FORMAT = "1"
DIGITS = 6  # of a line's hash: an edited line passes for a generated one of 500 with a chance of 1 in 30,000

_HEADER = "# What appos-compile generated here, so that edits made by hand are recognised. Commit it; do not edit it."
_MARKERS = (b"<<<<<<< ", b"||||||| ", b"=======", b">>>>>>> ")

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+@")

Entry = tuple[str, str, str]  # permission bits (octal), digest of the content, hashes of its lines


class Origin:
    """From what outputs were made: digest of all input, the spec's output directory, files it names, warnings it gave.

    ``sources`` are relative to the spec's directory. A warning's text is what follows the spec's name and a colon.
    """

    __slots__ = ("inputs", "output", "sources", "warnings")

    def __init__(
        self, inputs: str = "", output: str = "", sources: Sequence[str] = (), warnings: Sequence[str] = ()
    ) -> None:
        self.inputs = inputs
        self.output = output
        self.sources = sources
        self.warnings = warnings


class Manifest:
    """What a manifest says; ``writing`` is not empty when the run that wrote it has not finished."""

    __slots__ = ("files", "inputs", "newer", "output", "sources", "warnings", "writing")

    def __init__(self) -> None:
        self.files: dict[str, list[Entry]] = {}
        self.writing: dict[str, list[Entry]] = {}
        self.inputs: list[str] = []
        self.output: list[str] = []
        self.sources: list[str] = []
        self.warnings: list[str] = []
        self.newer = ""

    def knows(self, path: str, content: bytes) -> bool:
        """Whether a run, or a git merge of what two runs wrote, left this content (LF) at ``path``."""
        written = self.files.get(path, [])
        digests = {digest for _, digest, _ in written}
        found = sha256(content).hexdigest()
        if found in digests or any(found == digest for _, digest, _ in self.writing.get(path, ())):
            return True
        if len(digests) <= 1:
            return False
        known = {lines[at : at + DIGITS] for _, _, lines in written for at in range(0, len(lines), DIGITS)}
        return all(_line_hash(line) in known or line.startswith(_MARKERS) for line in content.split(b"\n"))


def normalise(raw: bytes) -> bytes:
    """Content with the line endings that git may have changed put back to LF."""
    return raw.replace(b"\r\n", b"\n")


def entry(content: bytes, mode: int) -> Entry:
    """Make the record of an output: its permission bits, its digest and the hashes of its lines."""
    lines = sorted({_line_hash(line) for line in content.split(b"\n")})
    return f"{mode:o}", sha256(content).hexdigest(), "".join(lines)


def parse(raw: bytes) -> Manifest:
    """Read a manifest. Never fails: a line that makes no sense (cut off, or a conflict marker of git) says nothing.

    A manifest that a later version wrote has ``newer`` set to its format.
    """
    manifest = Manifest()
    for line in normalise(raw).decode("utf-8", "replace").split("\n"):
        kind, _, text = line.partition(" ")
        if kind in ("file", "writing"):
            _parse_entry(manifest.files if kind == "file" else manifest.writing, text)
        elif kind == "format" and text != FORMAT:
            manifest.newer = text
        elif kind == "inputs":
            manifest.inputs.append(text)
        elif kind == "output":
            manifest.output.append(text)
        elif kind == "source":
            manifest.sources.append(text)
        elif kind == "warning":
            manifest.warnings.append(text)
        elif kind == "|" and manifest.warnings:
            manifest.warnings[-1] += "\n" + text
    return manifest


def render(files: Entries, writing: Entries, origin: Origin) -> bytes:
    """Text of a manifest: what stands in the directory, what a run is about to put there, and from what it was made."""
    lines = [f"inputs {origin.inputs}"] if origin.inputs else []
    lines += [f"output {origin.output}"] if origin.output else []
    lines += [f"source {name}" for name in sorted(set(origin.sources))]
    lines += ["warning " + warning.replace("\r", "").replace("\n", "\n| ") for warning in origin.warnings]
    for kind, entries in (("file", files), ("writing", writing)):
        lines += sorted({f"{kind} {path} {' '.join(each)}" for path in entries for each in entries[path]})
    return "\n".join([_HEADER, f"format {FORMAT}", *lines, ""]).encode("utf-8", "backslashreplace")


def bare(name: str) -> bool:
    """Whether an output may have this name: a plain file name, none of our own, nothing that leads elsewhere."""
    return _LETTERS.issuperset(name) and name.strip(".") != "" and not name.startswith((NAME, TEMPORARY))


def leads_out(directory: str, within: str) -> bool:
    """Whether ``directory``, all symbolic links followed, lies outside ``within``."""
    top = os.path.realpath(within)
    return os.path.commonpath([top, os.path.realpath(directory)]) != top


def _line_hash(line: bytes) -> str:
    return sha256(line).hexdigest()[:DIGITS]


def _parse_entry(entries: dict[str, list[Entry]], text: str) -> None:
    path, *rest = text.split(" ")
    # A name that leads out of the directory must not get as far as being removed because it is no longer generated.
    if bare(path) and len(rest) == len(("mode", "digest", "lines")):
        entries.setdefault(path, []).append((rest[0], rest[1], rest[2]))
