"""What a YAML parser stumbled over, and the text around it -> a problem in the user's words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from compiler.errors import Mark, Problem, Related

if TYPE_CHECKING:
    import yaml

# libyaml's own limit is 1,024.
_LONG_KEY = 1000
_SHORT = 60
_GLUED_KEY = re.compile(r"[ ]*(?:- +)?[\w.-]+(?=:[^\s/])")
DIRECTIVE = "a line that begins with % is an instruction to the YAML parser"
NO_DIRECTIVE = "remove the line; a spec needs none"
ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)


def line_and_column(text: str, index: int) -> tuple[int, int]:
    """The 1-based line and column of a place in a text."""
    breaks = text.count("\n", 0, index) + text.count("\r", 0, index) - text.count("\r\n", 0, index)
    return breaks + 1, index - line_start(text, index) + 1


def line_start(text: str, index: int) -> int:
    """Where the line of a place begins."""
    return max(text.rfind("\n", 0, index), text.rfind("\r", 0, index)) + 1


def short(text: str) -> str:
    """A text as a message quotes it."""
    return text if len(text) <= _SHORT else text[: _SHORT - 3] + "..."


def character_message(character: str) -> str:
    """A character that is not to be seen, in words."""
    import unicodedata

    number = f"U+{ord(character):04X}"
    if unicodedata.category(character) == "Cc":
        return f"the control character {number}"
    name = unicodedata.name(character, "")
    return f"the invisible character {number}" + (f" ({name.lower()})" if name else "")


def impossible_character(escape: re.Match[str], mark: Mark) -> Problem:
    """The problem of an escape that stands for no character."""
    message = f"{escape.group()} stands for half a character, or for one that does not exist"
    mark = mark._replace(length=len(escape.group()))
    return Problem("E003", message, mark, "write the character itself instead of an escape")


class _Broken(NamedTuple):
    """Where the parser gave up: file and text, the place, where the construct began, and what was read last."""

    name: str
    text: str
    offset: int
    context: int
    problem: str
    during: str
    innermost: Mark
    quoted: Any

    @property
    def before(self) -> str:
        """What stands before the place on its line."""
        return self.text[line_start(self.text, self.offset) : self.offset]

    @property
    def character(self) -> str:
        """The character at the place; empty at the end of the text."""
        return self.text[self.offset : self.offset + 1]

    def mark(self, index: int) -> Mark:
        """Return the mark of a place in the text."""
        return Mark(self.name, *line_and_column(self.text, index))

    def here(self, code: str, message: str, hint: str, *related: Related) -> Problem:
        """Return a problem at the place where the parser gave up."""
        return Problem(code, message, self.mark(self.offset), hint, related)

    def at(self, index: int, code: str, message: str, hint: str, *related: Related) -> Problem:
        """Return a problem at another place."""
        return Problem(code, message, self.mark(index), hint, related)


def explain(error: yaml.MarkedYAMLError, name: str, text: str, innermost: Mark, quoted: Any) -> Problem:
    """Say what the parser stumbled over, in the user's words, by the text around it more than by its own words.

    ``innermost`` is the place of the collection that it was in, ``quoted`` the last quoted scalar, if there was one.
    """
    at: Any = error.problem_mark
    start: Any = error.context_mark or at
    during, problem = error.context or "", error.problem or ""
    broken = _Broken(name, text, at.index, start.index, problem, during, innermost, quoted)
    for explanation in _EXPLANATIONS:
        explained = explanation(broken)
        if explained:
            return explained
    return broken.here("E019", f"not valid YAML: {problem}", "check this line and the one before it")


def _explain_tab(broken: _Broken) -> Problem | None:
    index = broken.offset
    if broken.character != "\t":
        if broken.before.strip() or "\t" not in broken.before:
            return None
        index += broken.before.index("\t") - len(broken.before)
    return broken.at(
        index, "E014", "a tab stands where YAML allows only spaces", "indent with spaces, two for each level"
    )


def _explain_quoted(broken: _Broken) -> Problem | None:
    if "quoted scalar" not in broken.during:
        return None
    backslash = broken.text.rfind("\\", 0, broken.offset + 1)
    escape = ESCAPE.match(broken.text, backslash)
    if "Unicode" in broken.problem and escape:
        return impossible_character(escape, broken.mark(backslash))
    if "escape" in broken.problem or "hex" in broken.problem:
        hint = r"in double quotes a backslash is written \\; in single quotes it stands for itself"
        return broken.at(backslash, "E015", "this backslash in double quotes begins no known escape", hint)
    quote = broken.text[broken.context]
    message = f"the quote {quote} is opened here and never closed"
    return broken.at(broken.context, "E016", message, f"close it with another {quote}")


def _explain_markup(broken: _Broken) -> Problem | None:
    """Explain what YAML takes for an instruction to itself."""
    if "directive" in broken.during or "directive" in broken.problem:
        return broken.at(broken.context, "E019", DIRECTIVE, NO_DIRECTIVE)
    if " tag" in broken.during or "tag handle" in broken.problem:
        hint = "remove it; a value that begins with ! needs quotes"
        return broken.at(broken.context, "E010", "a YAML tag is not allowed", hint)
    if broken.during.endswith("a block scalar") and "indentation space" in broken.problem:
        return broken.here("E018", "this block of text has an impossible indentation", "indent it with spaces only")
    return None


def _explain_first_character(broken: _Broken) -> Problem | None:
    """Explain a value that begins with a character that means something to YAML."""
    index = broken.offset
    if broken.during.endswith(("an alias", "an anchor", "a block scalar")):
        index = broken.context
    elif "entries are not allowed" in broken.problem:
        hint = "begin the list on the next line, indented; or quote the value if the - belongs to it"
        return broken.here("E018", "a list item cannot begin here", hint)
    elif (
        "cannot start any token" not in broken.problem
        and "mapping keys are not allowed" not in broken.problem
        and not (broken.character == "," and "node content" in broken.problem)
    ):
        return None
    message = f"a value cannot begin with {broken.text[index]} unless it is quoted"
    return broken.at(index, "E015", message, 'put the whole value in quotes: "..."')


def _explain_missing_colon(broken: _Broken) -> Problem | None:
    if "could not find expected ':'" not in broken.problem:
        return None
    if broken.text.startswith(("[", "{"), broken.context):
        message = "a value in brackets cannot begin in this column"
        return broken.at(broken.context, "E018", message, "indent it further than its key")
    key = _GLUED_KEY.match(broken.text, broken.context)
    if key:
        return broken.at(key.end(), "E017", "a space is missing after this colon", 'write "key: value"')
    return broken.at(broken.context, "E017", "a key must be followed by a colon and a space", 'write "key: value"')


def _explain_surplus_colon(broken: _Broken) -> Problem | None:
    if not broken.problem.startswith("mapping values are not allowed"):
        return None
    before = broken.before
    if re.search(r":\s", before):
        hint = "quote the value if the colon belongs to it; or begin a new, indented line for a nested key"
        return broken.here("E015", 'a value that contains ": " or ends in ":" needs quotes', hint)
    index = broken.offset - len(before.lstrip())
    if broken.offset - index > _LONG_KEY:
        return broken.at(index, "E009", "a key is longer than 1,024 characters", "shorten it")
    above = broken.text[: broken.offset - len(before)].rstrip()
    key = _GLUED_KEY.match(above, line_start(above, len(above)))
    if key:
        return broken.at(key.end(), "E017", "a space is missing after this colon", 'write "key: value"')
    hint = "give it the indentation of the key above; or remove the value above if this belongs under it"
    return broken.at(index, "E018", "this key is indented below a key that already has a value", hint)


def _explain_open_bracket(broken: _Broken) -> Problem | None:
    opening = broken.text[broken.context : broken.context + 1]
    if (
        broken.offset == broken.context
        or opening not in {"[", "{"}
        or not broken.during.startswith("while parsing a flow")
    ):
        return None
    closing = "]" if opening == "[" else "}"
    here, there = broken.mark(broken.offset), broken.mark(broken.context)
    if broken.character and here.line == there.line:
        hint = 'a value that contains ": " or brackets needs quotes around the whole of it'
        return broken.here(
            "E016", f'a "," or the closing "{closing}" is missing here', hint, Related("opened here", there)
        )
    message = f'the "{opening}" is opened here and not closed, or a "," is missing in it'
    return broken.at(broken.context, "E016", message, f'close it with "{closing}"', Related("still open here", here))


def _explain_stray_bracket(broken: _Broken) -> Problem | None:
    if "node content" not in broken.problem:
        return None
    if broken.character in {"]", "}"}:
        message = f'this "{broken.character}" closes nothing that is open here'
        return broken.here("E016", message, "remove it; or quote the value if it belongs to it")
    message = "a bracket is opened here and not closed properly"
    hint = "close it, and look for a value that needs quotes before this place"
    related = (Related("a value is missing here", broken.mark(broken.offset)),)
    return Problem("E016", message, broken.innermost, hint, related)


def _explain_surplus(broken: _Broken) -> Problem | None:
    """Explain text that follows a value which has already ended."""
    before = broken.before.rstrip(" \t")
    end = broken.offset - len(broken.before) + len(before)
    if broken.quoted is not None and broken.quoted.end_mark.index == end:
        here, opened, quote = broken.mark(broken.offset), broken.quoted.start_mark, broken.text[end - 1]
        if opened.line + 1 < here.line:
            message = f"the quote {quote} opened here is closed only on line {here.line}"
            hint = f"close it with another {quote} on this line"
            return broken.at(opened.index, "E016", message, hint, Related("the text goes on here", here))
        hint = "put the whole value in quotes; in single quotes, write '' for a quote, and in double quotes \\\""
        return broken.here("E015", "text follows the closing quote", hint)
    if before.endswith(("]", "}")):
        return broken.here("E015", "text follows the closing bracket", "put the whole value in quotes")
    if broken.character == ":" and re.fullmatch(r"\s*(?:- *)*", before):
        return broken.here("E009", "a key is missing before this colon", "write a name before the colon")
    return None


def _explain_indentation(broken: _Broken) -> Problem | None:
    if broken.before.strip():
        return None
    if broken.text[: broken.offset].rstrip().endswith("..."):
        hint = 'a spec is one document: remove the "..." line'
        return broken.here("E005", "there is text after the end of the document", hint)
    began = (Related("the block began here", broken.mark(broken.context)),) if broken.context < broken.offset else ()
    if broken.character == "-":
        hint = "give the list a key of its own, and indent it under that"
        return broken.here("E018", "a list item stands among keys", hint, *began)
    if broken.during.endswith("block collection"):
        hint = 'begin the line with "- " like the items above; or indent it like the key that it belongs beside'
        return broken.here("E018", "a list item was expected here", hint, *began)
    message = "this line's indentation fits none of the lines above"
    return broken.here("E018", message, "indent the keys of one mapping alike", *began)


# The first that recognises the mistake explains it.
_EXPLANATIONS = (
    _explain_tab,
    _explain_quoted,
    _explain_markup,
    _explain_first_character,
    _explain_missing_colon,
    _explain_surplus_colon,
    _explain_open_bracket,
    _explain_stray_bracket,
    _explain_surplus,
    _explain_indentation,
)
