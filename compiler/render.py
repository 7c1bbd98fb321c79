"""An application -> its generated files: one Jinja environment, and one filter for each format a text goes into."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from compiler import libraries, quoting, resources, views
from compiler.caches import cache_directories
from compiler.generated import GeneratedFile
from compiler.outputs import OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jinja2 import Environment, Template

    from compiler import templating
    from compiler.model import App

FILTERS: Mapping[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (
        cache_directories,
        libraries.providers,
        quoting.block,
        quoting.cache_control,
        quoting.compose_healthcheck,
        quoting.dockerfile,
        quoting.dotenv,
        quoting.download,
        quoting.duration,
        quoting.healthcheck,
        quoting.heredoc,
        quoting.json,
        quoting.mebibytes,
        quoting.nginx,
        quoting.raw,
        quoting.regex,
        quoting.run,
        quoting.yaml,
        views.all_pinned,
        views.basename,
        views.bind,
        views.brings_glibc,
        views.context,
        views.dirname,
        views.executed,
        views.executes,
        views.exposed,
        views.given,
        views.hooks,
        views.is_plain,
        views.is_prebuilt,
        views.labels,
        views.lends,
        views.needs_dollar,
        views.numbered,
        views.owner_known,
        views.readers,
        views.scripts,
        views.settled_first,
        views.upstreams,
        views.workers,
    )
} | {
    "sh": quoting.shell,
    "sh_value": quoting.shell_value,
    "sh_words": quoting.shell_words,
    "sh_export": quoting.shell_export,
}

GLOBALS: Mapping[str, Any] = {"limit": 5, "window": 60, "epoch": 946_684_800}
"""How many unexpected ends of a service, within how many seconds, are too many; and the time of an image's files, in
seconds since 1970: 1 January 2000, since archivers and caches take earlier times for none."""


@lru_cache(maxsize=2)
def environment(*, own: bool = False) -> Environment:
    """Jinja's environment for the compiler's templates; for a user's ``own`` in a sandbox.

    Who compiles a spec need not have written it: in continuous integration, it comes from anybody's pull request.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    kind = Environment
    if own:
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        kind = ImmutableSandboxedEnvironment
    jinja = kind(
        loader=FunctionLoader(lambda name: resources.read("templates", name) if name in _names() else None),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # `{#` is the length of a variable in sh.
        comment_start_string="{*",
        comment_end_string="*}",
        autoescape=False,  # nothing here is HTML; each format has a filter of its own
        auto_reload=False,
    )
    jinja.filters.update(FILTERS)
    jinja.globals.update(GLOBALS)
    return jinja


@lru_cache(maxsize=1)
def _names() -> tuple[str, ...]:
    return resources.names("templates")


def digest() -> str:
    """The digest of all templates."""
    names = _names()
    return resources.digest(*names, *(resources.read("templates", name) for name in names))


@lru_cache(maxsize=1)
def compiled() -> templating.Environment | None:
    """The templates as they were compiled ahead, unless one has changed since."""
    try:
        from compiler import _templates, templating
    except ImportError:
        return None
    return templating.Environment(_templates.ROOTS, FILTERS, GLOBALS) if digest() == _templates.SOURCE else None


@lru_cache(maxsize=64)
def _template(name: str, text: str | None) -> Template | templating.Template:
    if text is not None:
        return environment(own=True).from_string(text)
    ahead = compiled()
    return (ahead.find(f"{name}.j2") if ahead else None) or environment().get_template(f"{name}.j2")


def render(app: App, templates: Mapping[str, str]) -> tuple[GeneratedFile, ...]:
    """Every file that the application needs; ``templates`` are the texts of the user's own, by path."""
    own = dict(app.templates)
    files = []
    for output in OUTPUTS:
        if views.wanted(output.name, app):
            template = _template(output.name, templates[own[output.name]] if output.name in own else None)
            files.append(GeneratedFile(output.name, _tidy(template.render(app=app)), output.mode))
    return tuple(files)


def _tidy(text: str) -> str:
    """The text without the lines of empty blocks, with one newline at its end."""
    return re.sub(rf"^ *{quoting.NOTHING}\n?", "", text, flags=re.MULTILINE).strip("\n") + "\n"
