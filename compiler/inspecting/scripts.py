"""The first line of a script -> the programs that it takes, as the kernel and env read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

FLAGS, VALUES = "0iv", "CSau"
"""The short options of env, without and with a value: https://www.gnu.org/software/coreutils/env."""

LONG: Mapping[str, str] = {
    "argv0": "a",
    "block-signal": "",
    "chdir": "C",
    "debug": "",
    "default-signal": "",
    "ignore-environment": "",
    "ignore-signal": "",
    "list-signal-handling": "",
    "null": "",
    "split-string": "S",
    "unset": "u",
}
"""Its long options, each with the short one that has a value as well; any unambiguous beginning will do."""


class Started(NamedTuple):
    """What env starts."""

    program: str | None
    """Empty where it refuses, or starts the script itself without an end; none where that is up to the environment."""
    split: bool = False
    """Whether it is asked to take its one argument apart."""


def started(argument: str) -> Started:
    """What env starts for the one argument that the kernel gives it: all that follows on the line."""
    words, split = [argument] if argument else [], False
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word == "--":
            break
        letter, value = _option(word)
        if letter is None:
            return Started("", split)
        if letter and value is None:
            value = words.pop(0) if words else ""
        if letter == "S" and value is not None:
            if "\\" in value or "${" in value:
                return Started(None, split=True)
            split, parts = True, _split(value)
            if parts is None:
                return Started("", split)
            words = [*parts, *words]
    while words and "=" in words[0]:
        words.pop(0)
    return Started(words[0] if words else "", split)


def _option(word: str) -> tuple[str | None, str | None]:
    """The option with a value that a word holds, and its value if that is in the word; no option for a wrong one."""
    if word.startswith("--"):
        name, equals, value = word[2:].partition("=")
        found = [one for one in LONG if one.startswith(name)]
        if name not in LONG and len(found) != 1:
            return None, None
        return LONG[name if name in LONG else found[0]], value if equals else None
    for place, letter in enumerate(word[1:], 1):
        if letter in VALUES:
            return letter, word[place + 1 :] or None
        if letter not in FLAGS:
            return None, None
    return "", None


def _split(text: str) -> list[str] | None:
    """The words of a text, as quotes hold them together; none where one does not end."""
    import shlex

    try:
        return shlex.split(text)
    except ValueError:
        return None
