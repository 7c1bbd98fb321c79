"""A spec as bytes goes in; plain data and the place of each value and key come out, or every problem of the text.

What is written is what is meant: only ``true``, ``false``, ``null``, ``~``, an empty value and a plain decimal integer
are anything but a string. So ``on``, ``22:22``, ``3.10``, ``0755`` and dates, which YAML 1.1 would turn into something
else, stay as they were written.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from compiler.errors import HostError, Mark, Problem, Related, SpecError
from compiler.syntax import (
    DIRECTIVE,
    ESCAPE,
    NO_DIRECTIVE,
    character_message,
    explain,
    impossible_character,
    line_and_column,
    short,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Path = tuple[str | int, ...]

CODES = {
    "E001": "The file is not UTF-8",
    "E002": "The file is too large",
    "E003": "A control or invisible character",
    "E004": "The file is empty",
    "E005": "More than one document",
    "E006": "The file is not a mapping",
    "E007": "Nested too deeply",
    "E008": "The same key twice",
    "E009": "A key that is not plain text",
    "E010": "A YAML tag",
    "E011": "An alias without its anchor",
    "E012": "Aliases that expand to too much",
    "E013": "A merge of something that is not a mapping",
    "E014": "A tab where YAML wants spaces",
    "E015": "A value that needs quotes",
    "E016": "A quote or bracket that is not closed",
    "E017": "A key without its colon and space",
    "E018": "Indentation that does not fit",
    "E019": "Not valid YAML",
}

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64
MAX_VALUES = 1_000_000
MAX_EXPANDED = 100_000
MAX_PROBLEMS = 100
# A binary file is one mistake, not a million.
MAX_CHARACTER_PROBLEMS = 20

# The parser in C is some ten times as fast, but PyYAML can be built without it. Where both accept a text, they agree;
# the one in Python refuses tabs between values, "|#" without a space and a "?" in brackets, the one in C a tab that
# begins a block of text.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_QUOTES = frozenset("'\"")
_CONSTANTS: dict[str, bool | None] = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_REST_OF_LINE = re.compile(r"[^\r\n]*")
_BLOCK_HEADER = re.compile(r"[|>][-+0-9]*")
_ANCHOR = re.compile(r"&\S+[ \t]+(?=[^\s#])")
# YAML 1.1 counts NEL, U+2028 and U+2029 as line breaks and editors do not, so nobody could agree on a line's number:
# they are refused with the rest.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)
_HIDDEN_HINT = "remove it: nobody who reviews the generated files could see it"
_ANCHOR_HERE = "the anchor is here"
_STAND_IN = "\ufffd"
_NAMED_ESCAPES = dict(zip("0abvfeNLP", "\0\a\b\v\f\x1b\x85\u2028\u2029", strict=True))
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)

_KEY, _VALUE, _MERGE, _DROP = range(4)


class Document(NamedTuple):
    """A spec that is sound YAML: its plain data, and where each value and each mapping key was written."""

    name: str
    text: str
    data: Any
    marks: dict[Path, Mark]
    keys: dict[Path, Mark]


def load(path: str) -> Document:
    """Read the spec at ``path``; raise ``HostError`` if it cannot be read and ``SpecError`` if it is no sound YAML."""
    return parse(read(path), path)


def read(path: str) -> bytes:
    """Return the content of the regular file at ``path``; raise ``HostError`` if that cannot be done.

    Of a file that is too large, only one byte more than is allowed is read, for ``parse`` to refuse.
    """
    try:
        # A FIFO without a writer would block a plain open for ever.
        descriptor = os.open(path, _OPEN_FLAGS)
    except (OSError, ValueError) as error:
        raise _unopenable(path, error) from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise _irregular(path, mode)
        chunks: list[bytes] = []
        missing = MAX_BYTES + 1
        while missing and (chunk := os.read(descriptor, missing)):
            chunks.append(chunk)
            missing -= len(chunk)
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise HostError(message, "the disk or the network file system it lies on may be failing") from None
    finally:
        os.close(descriptor)
    return b"".join(chunks)


def displayed(raw: bytes) -> str:
    """Return ``raw``, whatever it is, as text for showing the lines of problems, with places as ``parse`` counts."""
    return raw[: MAX_BYTES + 1].decode(_wide_encoding(raw) or "utf-8", "replace").removeprefix("\ufeff")


def parse(raw: bytes, name: str) -> Document:
    """Return the document that ``raw`` holds; raise ``SpecError`` with all that is wrong with it, sorted by place.

    ``name`` is the file's name in the marks. Lines end at LF, CR or CR LF; columns are counted in characters, after any
    byte order mark.
    """
    text = _decode(raw, name)
    reader = _Reader(name, text)
    root = reader.read()
    document = Document(name, text, *_spread_out(root)) if root and not _broken(reader.problems) else None
    if reader.problems or document is None:
        raise SpecError(tuple(sorted(reader.problems, key=_place)), document=document)
    return document


def _broken(problems: Sequence[Problem]) -> bool:
    """Whether what was read cannot be what was meant; a key given twice leaves the rest as it is."""
    return any(problem.code != "E008" for problem in problems)


def _place(problem: Problem) -> tuple[int, int, str]:
    mark = problem.mark
    return (mark.line, mark.column, problem.code) if mark else (0, 0, problem.code)


def _unopenable(path: str, error: OSError | ValueError) -> HostError:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ENOENT:
        if os.path.islink(path):
            target = os.readlink(path)
            return HostError(
                f"{path} is a symbolic link to {target}, which does not exist", "point the link at a file, or remove it"
            )
        return HostError(f"{path} does not exist", _near(path))
    if number == errno.EACCES:
        return HostError(
            f"{path} may not be read by this user",
            f'look at its permissions and those of its directories: "ls -l {path}"',
        )
    if number == errno.ENXIO:
        return HostError(f"{path} is a socket or a device, not a file", "give the path of a spec such as appos.yaml")
    if number == errno.ENOTDIR:
        return HostError(
            f"{path} does not exist: a part of the path before the last is not a directory", "check the path"
        )
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return HostError(f"cannot open {path!r}: {reason}", "check the path")


def _near(path: str) -> str:
    import difflib

    directory, name = os.path.split(path)
    try:
        names = [entry for entry in sorted(os.listdir(directory or ".")) if entry.endswith((".yaml", ".yml"))]
    except OSError:
        return f'the directory {directory} cannot be read either; "appos-compile init" makes a spec'
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f'did you mean "{os.path.join(directory, near[0])}"?'
    return '"appos-compile init" makes a spec; or give the path of yours'


def _irregular(path: str, mode: int) -> HostError:
    if stat.S_ISDIR(mode):
        inside = os.path.join(path, "appos.yaml")
        return HostError(
            f"{path} is a directory",
            f'did you mean "{inside}"?' if os.path.isfile(inside) else "give the path of a file",
        )
    kind = "a named pipe (FIFO)" if stat.S_ISFIFO(mode) else "a device"
    return HostError(f"{path} is {kind}, not a file", "write the spec to a file first: it is read more than once")


def _wide_encoding(raw: bytes) -> str:
    """Name the UTF-16 or UTF-32 that ``raw`` seems to be in, by byte order mark or NUL bytes; empty if neither."""
    nul = tuple(byte == 0 for byte in raw[:4])
    if raw.startswith(b"\xff\xfe\0\0") or nul == (False, True, True, True):
        return "utf-32-le"
    if raw.startswith(b"\0\0\xfe\xff") or nul == (True, True, True, False):
        return "utf-32-be"
    if raw.startswith(b"\xff\xfe") or nul == (False, True, False, True):
        return "utf-16-le"
    if raw.startswith(b"\xfe\xff") or nul == (True, False, True, False):
        return "utf-16-be"
    return ""


def _decode(raw: bytes, name: str) -> str:
    start = Mark(name, 1, 1)
    if len(raw) > MAX_BYTES:
        message = f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB, which no spec is"
        hint = "check that it is the right file; data belongs into files that the spec names"
        raise SpecError((Problem("E002", message, start, hint),))
    wide = _wide_encoding(raw)
    if wide:
        message = f"the file is encoded as {wide[:-3].upper()}, not as UTF-8"
        hint = 'save it as UTF-8: editors call this "encoding" in their "save as"'
        raise SpecError((Problem("E001", message, start, hint),))
    try:
        return raw.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode().removeprefix("\ufeff")
        byte = raw[error.start]
        hint = "save the file as UTF-8"
        guess = bytes([byte]).decode("cp1252", "replace")
        if guess.isprintable() and guess != "\ufffd":
            hint += f'; if it was written as Windows-1252 or Latin-1, this byte is "{guess}"'
        mark = Mark(name, *line_and_column(before, len(before)))
        raise SpecError((Problem("E001", f"the byte 0x{byte:02X} is not valid UTF-8 here", mark, hint),)) from None


class _Node:
    """A value with its place; ``size`` counts the values in it, ``height`` their levels, both 0 while it is read."""

    __slots__ = ("height", "mark", "size", "value")

    def __init__(self, mark: Mark, value: Any, size: int, height: int) -> None:
        self.mark = mark
        self.value = value
        self.size = size
        self.height = height


class _Open:
    """A list or mapping that is being read: what the next node is for, its key, and what merges have brought."""

    __slots__ = ("height", "key", "key_mark", "merged", "node", "role", "size")

    def __init__(self, node: _Node, role: int) -> None:
        self.node = node
        self.role = role
        self.key = ""
        self.key_mark = node.mark
        self.merged: dict[str, tuple[Mark, _Node]] | None = None
        self.size = 1
        self.height = 1


class _Stop(Exception):  # noqa: N818 - not an error: the problem is already noted
    """Reading cannot go on."""


class _Reader:
    """Builds the tree of one document from the parser's events, with a stack of its own in place of recursion."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.problems: list[Problem] = []
        self.documents = 0
        self.values = 0
        self.expanded = 0
        self.anchors: dict[str, _Node] = {}
        self.bottom = _Open(_Node(Mark(name, 1, 1), [], 0, 0), _VALUE)
        self.stack = [self.bottom]
        self.quoted: Any = None

    def read(self) -> _Node | None:
        """Return the document's mapping, or None when a problem left nothing to return."""
        parsed = self.text
        first = _FORBIDDEN.search(parsed)
        if first:
            self.note_characters()
            parsed = _FORBIDDEN.sub(_STAND_IN, parsed)
        try:
            self.follow(yaml.parse(parsed, Loader=_LOADER))
            return self.root()
        except _Stop:
            return None
        except yaml.MarkedYAMLError as error:
            # What follows a character that should not be there may be its consequence.
            if not first or (error.problem_mark and error.problem_mark.index < first.start()):
                self.problems.append(explain(error, self.name, self.text, self.stack[-1].node.mark, self.quoted))
            return None
        except (ValueError, OverflowError):
            # So the parser in Python fails on a character number beyond Unicode; the one in C says it properly.
            self.problems.append(self.impossible())
            return None

    def root(self) -> _Node | None:
        nodes: list[_Node] = self.bottom.node.value
        start = Mark(self.name, 1, 1)
        if not nodes or nodes[0].value is None:
            self.note("E004", "the file has no content", start, '"appos-compile init" makes a spec to start from')
            return None
        if type(nodes[0].value) is not dict:
            kind = "a list" if type(nodes[0].value) is list else "a single value"
            hint = 'start with "version: 1" and "name: ..."'
            if type(nodes[0].value) is str and re.match(r"[\w-]+:\S", nodes[0].value):
                hint = "write a space after the colon"
            self.note("E006", f"the file holds {kind}, not keys with values", nodes[0].mark, hint)
            return None
        return nodes[0]

    def note(self, code: str, message: str, mark: Mark, hint: str, *related: Related) -> None:
        self.add_problem(Problem(code, message, mark, hint, related))

    def add_problem(self, problem: Problem) -> None:
        """Note a problem; a file with very many of them is not read to its end, and the last one says so."""
        if len(self.problems) == MAX_PROBLEMS - 1:
            more = f"{problem.hint} (reading stopped here: this is problem number {MAX_PROBLEMS})"
            self.problems.append(problem._replace(hint=more))
            raise _Stop
        self.problems.append(problem)

    def note_characters(self) -> None:
        for number, match in enumerate(_FORBIDDEN.finditer(self.text)):
            if number == MAX_CHARACTER_PROBLEMS:
                break
            mark = Mark(self.name, *line_and_column(self.text, match.start()))
            self.note("E003", character_message(match.group()), mark, _HIDDEN_HINT)

    def follow(self, events: Iterator[Any]) -> None:
        """Handle each event of the parser; anything that ends the reading early is noted and raises ``_Stop``."""
        for event in events:
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self.scalar(event)
            elif kind is yaml.MappingStartEvent:
                self.open(event, {}, _KEY)
            elif kind is yaml.SequenceStartEvent:
                self.open(event, [], _VALUE)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self.close()
            elif kind is yaml.AliasEvent:
                self.alias(event)
            elif kind is yaml.DocumentStartEvent:
                self.document(event)

    def document(self, event: Any) -> None:
        self.documents += 1
        mark = self.mark(event.start_mark, 3)
        if self.documents > 1:
            hint = "a spec is one document: remove this line, or split the file"
            self.note("E005", "a second document starts here", mark, hint)
            raise _Stop
        if self.text.startswith("%", event.start_mark.index):
            self.note("E019", DIRECTIVE, mark, NO_DIRECTIVE)

    def mark(self, start: Any, length: int = 1) -> Mark:
        return Mark(self.name, start.line + 1, start.column + 1, length)

    def scalar(self, event: Any) -> None:
        self.count(1, event)
        mark = self.scalar_mark(event)
        value = event.value
        if event.style in _QUOTES:
            self.quoted = event
            if _FORBIDDEN.search(value):
                self.note_escapes(event)
        elif not event.style and self.stack[-1].role != _KEY:
            if value in _CONSTANTS:
                if not value:
                    mark = self.empty_mark(event, mark)
                value = _CONSTANTS[value]
            elif _INTEGER.fullmatch(value):
                value = int(value)
        if event.tag is not None:
            self.note_tag(event)
        node = _Node(mark, value, 1, 1)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        if self.stack[-1].role == _KEY:
            self.key(event, mark)
        else:
            self.add(node)

    def scalar_mark(self, event: Any) -> Mark:
        start, end = event.start_mark, event.end_mark
        column = start.column
        if event.anchor is not None and (anchor := _ANCHOR.match(self.text, start.index)):
            column += anchor.end() - anchor.start()
        if start.line == end.line:
            length = end.column - column
        else:
            length = self.first_line_length(start.index + column - start.column, event.style)
        return Mark(self.name, start.line + 1, column + 1, length if length > 0 else 1)

    def empty_mark(self, event: Any, mark: Mark) -> Mark:
        """Place a value that is not even announced by a colon, which each parser puts elsewhere, after its key."""
        top = self.stack[-1]
        if top.role != _VALUE or type(top.node.value) is list or event.anchor:
            return mark
        after = top.key_mark._replace(column=top.key_mark.column + top.key_mark.length, length=1)
        index: int = event.start_mark.index
        between = self.text[index - mark.column + after.column : index]
        return mark if mark.line == after.line and between.strip() == ":" else after

    def first_line_length(self, index: int, style: str | None) -> int:
        pattern = _BLOCK_HEADER if style in {"|", ">"} else _REST_OF_LINE
        match = pattern.match(self.text, index)
        return len(match.group().rstrip()) if match else 1

    def key(self, event: Any, mark: Mark) -> None:
        """Take a scalar as the key of the mapping on top; one given twice loses its value, so that reading goes on."""
        top = self.stack[-1]
        key: str = event.value
        top.role = _VALUE
        if not key:
            self.note("E009", "a key is empty", mark, "write a name before the colon")
            top.role = _DROP
        elif key == "<<" and not event.style:
            if top.merged is not None:
                hint = "merge a list instead: <<: [*first, *second]"
                self.note("E008", 'the key "<<" is given twice in one mapping', mark, hint)
            top.merged = top.merged or {}
            top.role = _MERGE
        elif key in top.node.value:
            first = top.node.value[key][0]
            message = f'the key "{short(key)}" is given twice in one mapping'
            self.note("E008", message, mark, "keep one of the two, or rename one", Related("first given here", first))
            top.role = _DROP
        top.key = key
        top.key_mark = mark

    def open(self, event: Any, value: list[_Node] | dict[str, tuple[Mark, _Node]], role: int) -> None:
        self.count(1, event)
        mark = self.mark(event.start_mark)
        top = self.stack[-1]
        if len(self.stack) > MAX_DEPTH:
            message = f"values are nested more than {MAX_DEPTH} levels deep"
            self.note("E007", message, mark, "no spec needs that; check the brackets and the indentation")
            raise _Stop
        if event.tag is not None:
            self.note_tag(event)
        if top.role == _KEY:
            kind = "a list" if type(value) is list else "a mapping"
            hint = "a key is plain text; a value such as {{ name }} needs quotes"
            self.note("E009", f"{kind} is used as a key", mark, hint)
        node = _Node(mark, value, 0, 0)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        self.stack.append(_Open(node, role))

    def close(self) -> None:
        done = self.stack.pop()
        node = done.node
        if done.merged:
            node.value = {**done.merged, **node.value}
        node.size = done.size
        node.height = done.height
        if self.stack[-1].role == _KEY:
            self.stack[-1].role = _DROP
            return
        self.add(node)

    def add(self, node: _Node) -> None:
        """Put a finished node where the list or mapping on top wants it."""
        top = self.stack[-1]
        top.size += node.size
        if node.height >= top.height and top.role != _MERGE:
            top.height = node.height + 1
        value = top.node.value
        if type(value) is list:
            value.append(node)
            return
        if top.role == _VALUE:
            value[top.key] = (top.key_mark, node)
        elif top.role == _MERGE:
            self.merge(top, node)
        top.role = _KEY

    def merge(self, top: _Open, node: _Node) -> None:
        for source in node.value if type(node.value) is list else [node]:
            if type(source.value) is not dict:
                hint = "name the anchor of a mapping, or a list of them"
                self.note("E013", '"<<" merges mappings, and this is none', source.mark, hint)
            elif top.merged is not None:
                top.height = max(top.height, source.height)
                for key, entry in source.value.items():
                    top.merged.setdefault(key, entry)

    def alias(self, event: Any) -> None:
        name = event.anchor
        shown = "*" + short(name)
        mark = self.mark(event.start_mark, len(name) + 1)
        top = self.stack[-1]
        target = self.anchors.get(name)
        if top.role == _KEY:
            hint = "write the key out; a value that begins with * needs quotes"
            self.note("E009", f'the alias "{shown}" is used as a key', mark, hint)
            top.role = _DROP
            return
        if target is None:
            hint = "write &name before the value it means, further up; a text that begins with * needs quotes"
            self.note("E011", f'the alias "{shown}" has no anchor before it', mark, hint)
        elif not target.size:
            message = f'the alias "{shown}" stands inside the value it names'
            self.note("E011", message, mark, "a value cannot contain itself", Related(_ANCHOR_HERE, target.mark))
        if target is None or not target.size:
            self.add(_Node(mark, {}, 1, 1))
            return
        if len(self.stack) - 1 + target.height - (top.role == _MERGE) > MAX_DEPTH:
            message = f"with this alias, values are nested more than {MAX_DEPTH} levels deep"
            self.note("E007", message, mark, "write the value out", Related(_ANCHOR_HERE, target.mark))
            raise _Stop
        self.expanded += target.size
        if self.expanded > MAX_EXPANDED:
            message = f"up to here, aliases expand to more than {MAX_EXPANDED} values"
            self.note("E012", message, mark, "write the values out", Related(_ANCHOR_HERE, target.mark))
            raise _Stop
        self.count(target.size, event)
        self.add(target)

    def count(self, number: int, event: Any) -> None:
        self.values += number
        if self.values > MAX_VALUES:
            message = f"the file holds more than {MAX_VALUES} values, which no spec does"
            self.note("E002", message, self.mark(event.start_mark), "check that it is the right file")
            raise _Stop

    def note_tag(self, event: Any) -> None:
        match = re.compile(r"(?:&\S+\s+)?(![^\s,\]}]*)").match(self.text, event.start_mark.index)
        tag = match.group(1) if match else event.tag
        start = match.start(1) if match else event.start_mark.index
        mark = Mark(self.name, *line_and_column(self.text, start), len(tag))
        hint = "remove the tag; quote the value instead if it is to be a string, or if it is to begin with !"
        self.note("E010", f'the tag "{short(tag)}" is not allowed', mark, hint)

    def note_escapes(self, event: Any) -> None:
        start, end = event.start_mark.index, event.end_mark.index
        for match in ESCAPE.finditer(self.text, start, end):
            digits = match.group(1) or match.group(2) or match.group(3)
            character = chr(int(digits, 16)) if digits else _NAMED_ESCAPES.get(match.group(4), "")
            mark = Mark(self.name, *line_and_column(self.text, match.start()), len(match.group()))
            if "\ud800" <= character <= "\udfff":
                self.add_problem(impossible_character(match, mark))
            elif character and _FORBIDDEN.match(character):
                message = f"{match.group()} stands for {character_message(character)}"
                self.note("E003", message, mark, _HIDDEN_HINT)

    def impossible(self) -> Problem:
        escape = re.search(r"\\U(?!00(?:0[0-9A-Fa-f]|10))[0-9A-Fa-f]{8}", self.text)
        if escape:
            return impossible_character(escape, Mark(self.name, *line_and_column(self.text, escape.start())))
        return Problem("E019", "not valid YAML: a number in it is too large", Mark(self.name, 1, 1), NO_DIRECTIVE)


def _spread_out(root: _Node) -> tuple[Any, dict[Path, Mark], dict[Path, Mark]]:
    """Turn the tree, whose aliased parts are shared, into plain data that shares nothing, with marks by path."""
    marks: dict[Path, Mark] = {(): root.mark}
    keys: dict[Path, Mark] = {}
    data: dict[str, Any] = {}
    todo: list[tuple[_Node, Path, Any]] = [(root, (), data)]
    while todo:
        node, path, out = todo.pop()
        pairs: list[tuple[Any, _Node]]
        if type(node.value) is list:
            pairs = list(enumerate(node.value))
            out.extend([None] * len(pairs))
        else:
            pairs = []
            for key, (key_mark, child) in node.value.items():
                inner = (*path, key)
                keys[inner] = key_mark
                pairs.append((key, child))
        for key, child in pairs:
            inner = (*path, key)
            marks[inner] = child.mark
            value = child.value
            kind = type(value)
            if kind is dict or kind is list:
                value = kind()
                todo.append((child, inner, value))
            out[key] = value
    return data, marks, keys
