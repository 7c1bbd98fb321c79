"""What a template that was compiled when the command was built runs on: values go in, text comes out.

Jinja's compiler translates the templates to Python (``hatch_build.py``). That code would import the whole of Jinja for
the few names it uses, and importing takes many times as long as rendering. Here are these names, with the meaning that
Jinja gives them; only that what is undefined raises at once, not at its first use. A template that uses anything else
is not compiled ahead, and Jinja renders it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any, NoReturn

    Root = Callable[["Context", "Environment"], Iterator[str]]

missing: Any = object()
"""Stands for an argument or a variable without a value."""


class UndefinedError(LookupError):
    """A template names something that is not there: a mistake in the template."""


def undefined(hint: str | None = None, *, obj: Any = missing, name: Any = None) -> NoReturn:
    """Raises the error that Jinja's strict undefined value raises at its first use."""
    of = "" if obj is missing else f" of {type(obj).__name__}"
    raise UndefinedError(hint or f"{name!r}{of} is undefined")


def Undefined(_: str) -> str:  # noqa: N802 - the name that the compiled code uses
    """What `x if y` without `else` comes to where y is false."""
    return ""


def str_join(pieces: Iterable[Any]) -> str:
    """What `a ~ b` comes to."""
    return "".join(map(str, pieces))


class _EvalContext:
    autoescape = False


class Context:
    """The variables of one rendering, and what a template passes on to one that imports it."""

    eval_ctx = _EvalContext

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self._parent = variables
        self.vars: dict[str, Any] = {}
        self.exported_vars: set[str] = set()

    def resolve_or_missing(self, name: str) -> Any:
        """The value of a variable."""
        return self.vars[name] if name in self.vars else self._parent.get(name, missing)

    @staticmethod
    def call(function: Callable[..., Any], *args: Any, _loop_vars: object = None, **kwargs: Any) -> Any:
        """What `function(...)` comes to."""
        return function(*args, **kwargs)


class Macro:
    """A macro: called with any of its arguments by place or by name; those that are left out are ``missing``."""

    def __init__(
        self, _: Environment, function: Callable[..., str], name: str, arguments: Sequence[str], *_flags: bool
    ) -> None:
        self.name, self._function, self._arguments = name, function, arguments

    def __call__(self, *args: Any, **kwargs: Any) -> str:
        """Return the macro's text; raises TypeError for arguments that it does not have."""
        rest = self._arguments[len(args) :]
        values = [kwargs.pop(name, missing) for name in rest]
        if kwargs:
            raise TypeError(f"the macro {self.name} takes no argument {next(iter(kwargs))}")
        return self._function(*args, *values)


class LoopContext:
    """The variable `loop`: yields each item, with itself, and knows where it is."""

    def __init__(self, iterable: Iterable[Any], _: object) -> None:
        self._items = list(iterable)
        self.index0 = -1

    def __iter__(self) -> Iterator[tuple[Any, LoopContext]]:
        for item in self._items:
            self.index0 += 1
            yield item, self

    @property
    def length(self) -> int:
        """How many items there are."""
        return len(self._items)

    @property
    def index(self) -> int:
        """The number of the item, from 1."""
        return self.index0 + 1

    @property
    def first(self) -> bool:
        """Whether this is the first item."""
        return self.index0 == 0

    @property
    def last(self) -> bool:
        """Whether this is the last item."""
        return self.index == self.length


class Module:
    """What a template gives to one that imports it: its macros and variables, as attributes."""

    def __init__(self, name: str, exported: Mapping[str, Any]) -> None:
        self.__dict__.update(exported)
        self.__name__ = name


class Template:
    """One compiled template."""

    def __init__(self, environment: Environment, name: str, root: Root) -> None:
        self._environment, self._name, self._root = environment, name, root
        self._module: Module | None = None

    def render(self, **variables: Any) -> str:
        """The text that the template comes to; raises ``UndefinedError`` where it names what is not there."""
        return "".join(self._root(self._environment.context(variables), self._environment))

    def _get_default_module(self, _: Context) -> Module:
        if self._module is None:
            context = self._environment.context({})
            for _text in self._root(context, self._environment):
                pass
            self._module = Module(self._name, {name: context.vars[name] for name in context.exported_vars})
        return self._module


class Environment:
    """Compiled templates by name, and the filters, tests and variables that they share."""

    undefined = staticmethod(undefined)
    concat = staticmethod("".join)

    def __init__(
        self, roots: Mapping[str, Root], filters: Mapping[str, Callable[..., Any]], variables: Mapping[str, Any]
    ) -> None:
        self.filters = {**FILTERS, **filters}
        self.tests = TESTS
        self._globals = variables
        self._templates = {name: Template(self, name, root) for name, root in roots.items()}

    def context(self, variables: Mapping[str, Any]) -> Context:
        """The beginning of a rendering."""
        return Context({**self._globals, **variables})

    def find(self, name: str) -> Template | None:
        """The template of that name, if it was compiled."""
        return self._templates.get(name)

    def get_template(self, name: str, _: str) -> Template:
        """The template of that name, for one that imports it."""
        return self._templates[name]

    @staticmethod
    def getattr(obj: Any, name: str) -> Any:
        """What `obj.name` comes to."""
        try:
            return getattr(obj, name)
        except AttributeError:
            pass
        try:
            return obj[name]
        except (TypeError, LookupError, AttributeError):
            undefined(obj=obj, name=name)

    @staticmethod
    def getitem(obj: Any, key: Any) -> Any:
        """What `obj[key]` comes to."""
        try:
            return obj[key]
        except (TypeError, LookupError, AttributeError):
            found = getattr(obj, key, missing) if isinstance(key, str) else missing
        if found is missing:
            undefined(obj=obj, name=key)
        return found


def _getter(path: str) -> Callable[[Any], Any]:
    steps = [int(step) if step.isdigit() else step for step in path.split(".")]

    def get(item: Any) -> Any:
        for step in steps:
            item = Environment.getitem(item, step)
        return item

    return get


def _map(values: Iterable[Any], name: str = "", *args: Any, attribute: str = "") -> Iterator[Any]:
    change = _getter(attribute) if attribute else FILTERS[name]
    return (change(value, *args) for value in values)


def _selected(wanted: bool, values: Iterable[Any], attribute: str, test: str, args: tuple[Any, ...]) -> Iterator[Any]:
    get, passes = _getter(attribute), TESTS[test] if test else bool
    return (value for value in values if bool(passes(get(value), *args)) is wanted)


def _selectattr(values: Iterable[Any], attribute: str, test: str = "", *args: Any) -> Iterator[Any]:
    return _selected(True, values, attribute, test, args)


def _rejectattr(values: Iterable[Any], attribute: str, test: str = "", *args: Any) -> Iterator[Any]:
    return _selected(False, values, attribute, test, args)


def _first(values: Iterable[Any]) -> Any:
    for value in values:
        return value
    undefined("No first item, sequence was empty.")


def _join(values: Iterable[Any], between: str = "") -> str:
    return between.join(map(str, values))


def _max(values: Iterable[Any]) -> Any:
    return max(values, key=lambda value: value.lower() if isinstance(value, str) else value)


def _replace(text: Any, old: str, new: str) -> str:
    return str(text).replace(old, new)


FILTERS: Mapping[str, Callable[..., Any]] = {
    "first": _first,
    "join": _join,
    "length": len,
    "list": list,
    "lower": lambda text: str(text).lower(),
    "map": _map,
    "max": _max,
    "rejectattr": _rejectattr,
    "replace": _replace,
    "selectattr": _selectattr,
    "upper": lambda text: str(text).upper(),
}
"""Those of Jinja's own filters that the templates use, with the arguments that they use."""

TESTS: Mapping[str, Callable[..., bool]] = {
    "equalto": lambda value, other: value == other,
    "in": lambda value, others: value in others,
    "none": lambda value: value is None,
}
"""Those of Jinja's own tests that the templates use."""
