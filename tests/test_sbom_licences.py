"""Whatever a package says about its licence becomes an expression that SPDX knows, and nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from license_expression import get_spdx_licensing

from compiler.sbom import licences

SPDX = get_spdx_licensing()


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("MIT", "MIT"),
        ("mit AND bsd-2-clause", "MIT AND BSD-2-Clause"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("(MIT OR Apache-2.0)", "MIT OR Apache-2.0"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("custom", "LicenseRef-custom"),
        ("MIT AND public-domain", "MIT AND LicenseRef-public-domain"),
        ("", ""),
        ("NOASSERTION", ""),
    ],
)
def test_an_expression_is_written_as_spdx_writes_it(text: str, expression: str) -> None:
    assert licences.stated(text).expression == expression


@pytest.mark.parametrize(
    "text",
    [
        "BSD-3-Clause Public-Domain",
        "SEE LICENSE IN LICENSE",
        "MIT/X11",
        "A AND",
        "((((",
        "MIT WITH MIT",
        "Apache-2.0 WITH x",
    ],
)
def test_what_is_no_expression_is_kept_as_it_is(text: str) -> None:
    found = licences.stated(text)
    assert found.references == ((found.expression, text),)


def test_two_texts_do_not_get_one_name() -> None:
    assert licences.stated("a b").expression != licences.stated("a/b").expression


FIELDS = st.lists(
    st.sampled_from(
        ["MIT", "GPL-2.0", "AND", "or", "WITH", "(", ")", "+", "LicenseRef-x", "x", "a/b", "Classpath-exception-2.0"]
    )
    | st.text(max_size=5),
    max_size=6,
).map(" ".join)


@given(FIELDS)
@example("( AND MIT")
@settings(max_examples=300, deadline=None)
def test_no_text_makes_an_invalid_expression(text: str) -> None:
    valid(licences.stated(text))
    valid(licences.dep5(f"Format: https://x/copyright-format/1.0/\n\nFiles: *\nLicense: {text}\n"))


def valid(licence: licences.Licence) -> None:
    """Every name in it is SPDX's or one of its references."""
    if not licence.expression:
        assert not licence.references
        return
    names = dict(licence.references)
    found = SPDX.validate(licence.expression, strict=True)
    assert set(found.invalid_symbols) <= set(names), found.errors
    replaced = " ".join("MIT" if word.strip("()") in names else word for word in licence.expression.split(" "))
    assert replaced.count("(") <= licence.expression.count("(")


COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: thing
Source: https://example.com

Files: *
Copyright: 2001, somebody
License: GPL-2+ or Artistic-1.0, and BSD-3-clause

Files: lib/*
Copyright: 2002, somebody else
License: Expat
 Permission is hereby granted: as you like

License: GPL-2+
 On Debian systems, the text is in /usr/share/common-licenses.
"""


def test_a_debian_file_gives_all_licences_of_its_files() -> None:
    assert licences.dep5(COPYRIGHT).expression == "BSD-3-Clause AND (GPL-2.0-or-later OR Artistic-1.0) AND MIT"


def test_what_has_to_be_heeded_is_told_apart_from_a_choice() -> None:
    found = licences.demanded(licences.stated("(MIT OR ISC) AND Zlib AND (curl AND Zlib)"))
    assert found == ("MIT OR ISC", "Zlib", "curl")
    assert licences.demanded(licences.UNKNOWN) == ()


@pytest.mark.parametrize(
    ("name", "expression"),
    [
        ("GPL-3", "GPL-3.0-only"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("Expat", "MIT"),
        ("Perl", "Artistic-1.0-Perl OR GPL-1.0-or-later"),
        ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
        ("zlib", "Zlib"),
        ("public-domain", "LicenseRef-public-domain"),
    ],
)
def test_debians_names_are_spdx_names(name: str, expression: str) -> None:
    text = f"Format: http://www.debian.org/doc/packaging-manuals/copyright-format/1.0\n\nFiles: *\nLicense: {name}\n"
    assert licences.dep5(text).expression == expression


def test_a_debian_file_in_prose_says_nothing() -> None:
    assert licences.dep5("This package was debianized by somebody.\n\nLicense: GPL-2\n") == licences.UNKNOWN
