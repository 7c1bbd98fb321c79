"""What a package says about its licence -> an SPDX licence expression that is valid in any case.

Sources: annex D of the SPDX specification 2.3 for expressions, and
https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/ for Debian's files. What is no licence of SPDX's list
becomes a reference of its own (``LicenseRef-``) with the text as it was found.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LONGEST = 2000
"""Characters of an expression: more is somebody's text."""

DEP5 = re.compile(r"format:\s*\S*copyright-format/1\.0", re.IGNORECASE)
_REFERENCE = "LicenseRef-"
# Names of Debian's format that mean a licence of SPDX's list; the GNU licences follow a rule.
_DEBIAN = {
    "expat": "MIT",
    "apache-2": "Apache-2.0",
    "bsd-2-clauses": "BSD-2-Clause",
    "bsd-3-clauses": "BSD-3-Clause",
    "cc0": "CC0-1.0",
    "gfdl-niv-1.1": "GFDL-1.1-no-invariants-only",
    "gfdl-niv-1.2": "GFDL-1.2-no-invariants-only",
    "gfdl-niv-1.3": "GFDL-1.3-no-invariants-only",
    "gfdl-niv-1.2+": "GFDL-1.2-no-invariants-or-later",
    "gfdl-niv-1.3+": "GFDL-1.3-no-invariants-or-later",
    "mpl-2": "MPL-2.0",
    "perl": "Artistic-1.0-Perl OR GPL-1.0-or-later",
    "psf-2": "PSF-2.0",
    "zlib/libpng": "Zlib",
}
_GNU = re.compile(r"(A?GPL|LGPL|GFDL)-(\d)(?:\.(\d))?(?:\.0)?(\+|-or-later|-only)?", re.IGNORECASE)


class Licence(NamedTuple):
    """An expression, empty where nothing is known, and what its references stand for."""

    expression: str = ""
    references: tuple[tuple[str, str], ...] = ()


UNKNOWN = Licence()


def stated(text: str) -> Licence:
    """The licence of a field that ought to be an SPDX expression, as apk, npm and Python packages have it."""
    text = " ".join(text.split())
    if not text or text.upper() in ("NOASSERTION", "NONE", "UNKNOWN"):
        return UNKNOWN
    return _expression(text) or reference(text)


def reference(text: str) -> Licence:
    """A licence that is known by these words only."""
    word = re.sub(r"[^A-Za-z0-9.-]+", "-", text[:64]).strip("-.")
    if word != text:
        # Two texts must not get one name.
        word = f"{word}-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:8]}".lstrip("-")
    return Licence(_REFERENCE + word, ((_REFERENCE + word, text[:LONGEST]),))


def dep5(text: str) -> Licence:
    """The licences of a Debian copyright file, all together; unknown where it is not in the machine-readable format."""
    if not DEP5.match(text.lstrip("\ufeff \n")):
        return UNKNOWN
    found: list[Licence] = []
    for number, fields in enumerate(_paragraphs(text)):
        # The first paragraph is about the file, and those without files only hold the texts.
        if "license" in fields and ("files" in fields or not number):
            found.append(_debian(fields["license"]))
    return together([licence for licence in found if licence.expression])


def together(licences: Sequence[Licence]) -> Licence:
    """One licence that demands all of them."""
    if not licences:
        return UNKNOWN
    parts = sorted({part for licence in licences for part in demanded(licence)})
    references = sorted({pair for licence in licences for pair in licence.references})
    joined = " AND ".join(f"({part})" if " " in part and len(parts) > 1 else part for part in parts)
    simple = _expression(joined) if not references else None
    return simple or Licence(joined, tuple(references))


def demanded(licence: Licence) -> tuple[str, ...]:
    """The parts of an expression that all have to be heeded: a licence each, or a choice of some."""
    if not licence.expression:
        return ()
    tree, licensing = _licensing().parse(licence.expression), _licensing()
    waiting, found = [tree], []
    while waiting:
        part = waiting.pop()
        if isinstance(part, licensing.AND):
            waiting += part.args[::-1]
        else:
            found.append(part.render("{symbol.key}"))
    return tuple(dict.fromkeys(found))


def _paragraphs(text: str) -> Iterator[dict[str, str]]:
    """The fields of each paragraph by their names in lower case, with the first line of each."""
    for paragraph in re.split(r"\n[ \t]*\n", text):
        fields: dict[str, str] = {}
        for line in paragraph.split("\n"):
            name, colon, value = line.partition(":")
            if colon and line[:1] not in (" ", "\t", "#"):
                fields.setdefault(name.strip().lower(), value.strip())
        if fields:
            yield fields


def _debian(text: str) -> Licence:
    """The licence of a short name, or of several with ``and`` and ``or``, of which those after a comma bind least."""
    text = " ".join(text.split())
    for separator, operator in (
        (r",\s*and\s+", "AND"),
        (r",\s*or\s+", "OR"),
        (r"\s+or\s+", "OR"),
        (r"\s+and\s+", "AND"),
    ):
        parts = [part for part in re.split(separator, text, flags=re.IGNORECASE) if part]
        if len(parts) > 1:
            found = [_debian(part) for part in parts]
            joined = f" {operator} ".join(
                f"({one.expression})" if " " in one.expression else one.expression for one in found
            )
            return Licence(joined, tuple(sorted({pair for one in found for pair in one.references})))
    return _debian_name(text.strip(" ,"))


def _debian_name(text: str) -> Licence:
    if not text:
        return UNKNOWN
    gnu = _GNU.fullmatch(text)
    if gnu:
        later = "only" if gnu[4] in (None, "-only") else "or-later"
        text = f"{gnu[1].upper()}-{gnu[2]}.{gnu[3] or 0}-{later}"
    text = _DEBIAN.get(text.lower(), text)
    return _expression(text) or reference(text)


@lru_cache(maxsize=1)
def _licensing() -> Any:
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


@lru_cache(maxsize=4096)
def _expression(text: str) -> Licence | None:
    """The expression in SPDX's own spelling, with references for names that are not in its list; None if it is none."""
    from license_expression import ExpressionError, ExpressionParseError

    if len(text) > LONGEST:
        return None
    licensing = _licensing()
    try:
        # A word in parentheses of more than a few levels is no licence, and would cost more than it tells.
        tree = licensing.parse(text) if text.count("(") <= LONGEST // 100 else None
    except (
        ExpressionError,
        ExpressionParseError,
        ValueError,
        AssertionError,
        TypeError,
        AttributeError,
        RecursionError,
    ):
        # The parser has no one way to refuse what it cannot read.
        return None
    if tree is None:
        return None
    rendered = tree.render("{symbol.key}")
    probe = rendered
    references: list[tuple[str, str]] = []
    unknown = [s.key for s in licensing.license_symbols(tree, unique=True) if s.key not in licensing.known_symbols]
    for key in sorted(unknown, key=len, reverse=True):
        made = reference(key.removeprefix(_REFERENCE))
        place = rf"(?<![\w.+-]){re.escape(key)}(?![\w.+-])"
        rendered = re.sub(place, made.expression, rendered)
        probe = re.sub(place, "MIT", probe)
        references += made.references
    # Such as an exception that stands for a licence.
    if licensing.validate(probe, strict=True).errors:
        return None
    return Licence(rendered, tuple(sorted(references)))
