"""Templates of the user's own: what they start from, and what is wrong with one that cannot be rendered."""

from __future__ import annotations

import difflib
import os
import re
from typing import TYPE_CHECKING

from compiler import render, resources
from compiler.errors import HostError, Mark, Problem, Related
from compiler.outputs import OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compiler.model import App

_PARTIAL = re.compile(r'^\{% from "(_(?!header)[^"]+)" import [a-z_, ]+ %\}\n', re.MULTILINE)
_COMMENT = re.compile(r"\{\*.*?\*\}\n?", re.DOTALL)


def builtin(output: str) -> str:
    """Return the compiler's template of an output, whole: what it takes from others stands in it, to be changed too.

    Raises ``HostError`` for a name that is no output's.
    """
    names = [each.name for each in OUTPUTS]
    if output not in names:
        near = difflib.get_close_matches(output, names, 1, 0.5)
        raise HostError(
            f'there is no output "{output}"', f'did you mean "{near[0]}"?' if near else f"there are {', '.join(names)}"
        )
    text = resources.read("templates", f"{output}.j2")
    return _PARTIAL.sub(lambda found: _COMMENT.sub("", resources.read("templates", found[1])), text)


def problems(app: App, templates: Mapping[str, str]) -> tuple[Problem, ...]:
    """Return a problem for each of the user's templates that cannot be rendered, at the line where rendering stopped.

    ``templates`` are their texts by path. None at all means that it is not they who are to blame.
    """
    found = []
    for output, path in app.templates:
        alone = app._replace(templates=((output, path),))
        try:
            render.render(alone, templates)
        except Exception as error:  # noqa: BLE001 - a template can fail in every way that Python can
            found.append(_problem(app, output, path, error))
    try:
        render.render(app._replace(templates=()), templates)
    except Exception:  # noqa: BLE001 - a bug of ours, which would blame every template
        return ()
    return tuple(found)


def _problem(app: App, output: str, path: str, error: Exception) -> Problem:
    name = os.path.join(os.path.dirname(app.origins.name), path)
    line = getattr(error, "lineno", None) or _line(error)
    text = " ".join(str(error).split()) or type(error).__name__
    named = app.origins.value(("outputs", output))
    return Problem(
        "E048",
        f"{path} cannot be rendered: {text}",
        Mark(name, line, 1),
        f"the compiler's own template is printed by: appos-compile template {output}",
        (Related(f"the template of {output} is named here", named),) if named else (),
        ("outputs", output),
    )


def _line(error: Exception) -> int:
    """The line of the user's template: the first of a template in the traceback, for what it calls comes later."""
    trace = error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == "<template>":
            return trace.tb_lineno
        trace = trace.tb_next
    return 1
