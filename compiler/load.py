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
# libyaml's own limit is 1,024.
_LONG_KEY = 1000
_SHORT = 60

# The parser in C is some ten times as fast, but PyYAML can be built without it. Where both accept a text, they agree;
# the one in Python refuses tabs between values, "|#" without a space and a "?" in brackets, the one in C a tab that
# begins a block of text.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_QUOTES = frozenset("'\"")
_CONSTANTS: dict[str, bool | None] = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_REST_OF_LINE = re.compile(r"[^\r\n]*")
_GLUED_KEY = re.compile(r"[ ]*(?:- +)?[\w.-]+(?=:[^\s/])")
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
_DIRECTIVE = "a line that begins with % is an instruction to the YAML parser"
_NO_DIRECTIVE = "remove the line; a spec needs none"
_STAND_IN = "\ufffd"
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
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
        mark = Mark(name, *_line_and_column(before, len(before)))
        raise SpecError((Problem("E001", f"the byte 0x{byte:02X} is not valid UTF-8 here", mark, hint),)) from None


def _line_and_column(text: str, index: int) -> tuple[int, int]:
    breaks = text.count("\n", 0, index) + text.count("\r", 0, index) - text.count("\r\n", 0, index)
    return breaks + 1, index - _line_start(text, index) + 1


def _line_start(text: str, index: int) -> int:
    return max(text.rfind("\n", 0, index), text.rfind("\r", 0, index)) + 1


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
                self.problems.append(_explain(self, error))
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
            mark = Mark(self.name, *_line_and_column(self.text, match.start()))
            self.note("E003", _character_message(match.group()), mark, _HIDDEN_HINT)

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
            self.note("E019", _DIRECTIVE, mark, _NO_DIRECTIVE)

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
            message = f'the key "{_short(key)}" is given twice in one mapping'
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
        shown = "*" + _short(name)
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
        mark = Mark(self.name, *_line_and_column(self.text, start), len(tag))
        hint = "remove the tag; quote the value instead if it is to be a string, or if it is to begin with !"
        self.note("E010", f'the tag "{_short(tag)}" is not allowed', mark, hint)

    def note_escapes(self, event: Any) -> None:
        start, end = event.start_mark.index, event.end_mark.index
        for match in _ESCAPE.finditer(self.text, start, end):
            digits = match.group(1) or match.group(2) or match.group(3)
            character = chr(int(digits, 16)) if digits else _NAMED_ESCAPES.get(match.group(4), "")
            mark = Mark(self.name, *_line_and_column(self.text, match.start()), len(match.group()))
            if "\ud800" <= character <= "\udfff":
                self.add_problem(_impossible_character(match, mark))
            elif character and _FORBIDDEN.match(character):
                message = f"{match.group()} stands for {_character_message(character)}"
                self.note("E003", message, mark, _HIDDEN_HINT)

    def impossible(self) -> Problem:
        escape = re.search(r"\\U(?!00(?:0[0-9A-Fa-f]|10))[0-9A-Fa-f]{8}", self.text)
        if escape:
            return _impossible_character(escape, Mark(self.name, *_line_and_column(self.text, escape.start())))
        return Problem("E019", "not valid YAML: a number in it is too large", Mark(self.name, 1, 1), _NO_DIRECTIVE)


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


def _short(text: str) -> str:
    return text if len(text) <= _SHORT else text[: _SHORT - 3] + "..."


def _character_message(character: str) -> str:
    import unicodedata

    number = f"U+{ord(character):04X}"
    if unicodedata.category(character) == "Cc":
        return f"the control character {number}"
    name = unicodedata.name(character, "")
    return f"the invisible character {number}" + (f" ({name.lower()})" if name else "")


def _impossible_character(escape: re.Match[str], mark: Mark) -> Problem:
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
        return self.text[_line_start(self.text, self.offset) : self.offset]

    @property
    def character(self) -> str:
        """The character at the place; empty at the end of the text."""
        return self.text[self.offset : self.offset + 1]

    def mark(self, index: int) -> Mark:
        """Return the mark of a place in the text."""
        return Mark(self.name, *_line_and_column(self.text, index))

    def here(self, code: str, message: str, hint: str, *related: Related) -> Problem:
        """Return a problem at the place where the parser gave up."""
        return Problem(code, message, self.mark(self.offset), hint, related)

    def at(self, index: int, code: str, message: str, hint: str, *related: Related) -> Problem:
        """Return a problem at another place."""
        return Problem(code, message, self.mark(index), hint, related)


def _explain(reader: _Reader, error: yaml.MarkedYAMLError) -> Problem:
    """Say what the parser stumbled over, in the user's words, by the text around it more than by its own words."""
    at: Any = error.problem_mark
    start: Any = error.context_mark or at
    during, problem = error.context or "", error.problem or ""
    innermost = reader.stack[-1].node.mark
    broken = _Broken(reader.name, reader.text, at.index, start.index, problem, during, innermost, reader.quoted)
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
    escape = _ESCAPE.match(broken.text, backslash)
    if "Unicode" in broken.problem and escape:
        return _impossible_character(escape, broken.mark(backslash))
    if "escape" in broken.problem or "hex" in broken.problem:
        hint = r"in double quotes a backslash is written \\; in single quotes it stands for itself"
        return broken.at(backslash, "E015", "this backslash in double quotes begins no known escape", hint)
    quote = broken.text[broken.context]
    message = f"the quote {quote} is opened here and never closed"
    return broken.at(broken.context, "E016", message, f"close it with another {quote}")


def _explain_markup(broken: _Broken) -> Problem | None:
    """Explain what YAML takes for an instruction to itself."""
    if "directive" in broken.during or "directive" in broken.problem:
        return broken.at(broken.context, "E019", _DIRECTIVE, _NO_DIRECTIVE)
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
    key = _GLUED_KEY.match(above, _line_start(above, len(above)))
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
