"""A misspelt word and the known ones -> the one that was most likely meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


SHORTEST = 3
"""Letters that say which word is meant by its beginning; two begin too many words."""


def nearest(word: str, known: Iterable[str], *, parts: bool = True) -> str | None:
    """The known word that differs least, nothing where none is near; of equals the first.

    A letter added, left out, replaced, or swapped with its neighbour is one difference; capitals, and ``-`` or a space
    for ``_``, are none. A word of two letters may differ in one, of five in two, of eight in three. Where no word is
    that near, one that begins like a single known word, or ends with one, stands for it, unless ``parts`` says no.
    """
    names = list(known)
    plain = _plain(word)
    best, least = None, (_allowed(plain) + 1, 0, 0)
    for name in names:
        other = _plain(name)
        if abs(len(other) - len(plain)) > least[0]:
            continue
        steps = _distance(plain, other)
        if steps > least[0] or steps >= max(len(plain), len(other)) > 0:
            continue
        # Of two that differ as much, the likelier mistake counts: a letter doubled or not, then letters swapped; and
        # people seldom err at the beginning.
        found = (steps, _kind(plain, other), -_alike(plain, other))
        if found < least:
            best, least = name, found
    return best or (_part(plain, names) if parts else None)


def _plain(word: str) -> str:
    return word.casefold().replace("-", "_").replace(" ", "_")


def _allowed(word: str) -> int:
    return max(1, (len(word) + 1) // 3)


def _kind(one: str, other: str) -> int:
    if _squeezed(one) == _squeezed(other):
        return 0
    return 1 if sorted(one) == sorted(other) else 2


def _squeezed(word: str) -> str:
    return "".join(letter for letter, before in zip(word, " " + word, strict=False) if letter != before)


def _alike(one: str, other: str) -> int:
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


def _distance(one: str, other: str) -> int:
    """The optimal string alignment distance: Levenshtein's, with a swap of neighbours as one step."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            steps = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and b == one[i - 2]:
                steps = min(steps, before[j - 2] + 1)
            row.append(steps)
        before, last = last, row
    return last[-1]


def _part(word: str, names: list[str]) -> str | None:
    if len(word) < SHORTEST:
        return None
    longer = [name for name in names if _plain(name).startswith(word)]
    words = {name: _plain(name) for name in names if len(name) >= SHORTEST}
    shorter = [name for name, plain in words.items() if word.startswith(plain) or word.endswith(plain)]
    for found in (longer, shorter):
        if len(found) == 1:
            return found[0]
    return None
