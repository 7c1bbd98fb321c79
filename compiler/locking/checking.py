"""Pins, and what there is now -> what there is to say of each: out of date, not pinned, left over, past its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.locking.renewing import Key, Row, Told, keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from compiler.locking.wanted import Wanted

CURRENT, UNKNOWN = "current", "unknown"


def rows(
    before: Mapping[Key, str],
    want: Wanted,
    told: Mapping[Key, Told],
    patches: Mapping[str, str],
    ended: Mapping[str, tuple[str, str]],
) -> Iterator[Row]:
    """A row for each pin, and one more for an image with a newer patch (``patches``) or without support (``ended``)."""
    wanted = keys(want)
    for key in wanted:
        kind, image, name = key
        old = before.get(key, "")
        answer = told.get(key) or Told(old, "")
        if not old:
            yield Row(kind, name, image, "not pinned", "", answer.value, answer.source, 'run "appos-compile lock"')
        elif answer.error:
            yield Row(kind, name, image, UNKNOWN, old, "", answer.error.message, answer.error.hint)
        elif answer.value == old:
            yield Row(kind, name, image, CURRENT, old, old, answer.source)
        else:
            hint = f"appos-compile lock --update {name}"
            yield Row(kind, name, image, "out of date", old, answer.value, answer.source, hint)
    for kind, image, name in sorted(set(before) - set(wanted)):
        yield Row(kind, name, image, "left over", before[kind, image, name], hint='run "appos-compile lock"')
    for name, tag in sorted(patches.items()):
        yield Row("image", name, "", "newer patch", "", tag, hint="name that tag in the spec")
    for name, (message, hint) in sorted(ended.items()):
        yield Row("image", name, "", "past its end of life", source=message, hint=hint)
