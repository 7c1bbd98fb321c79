"""The command line: arguments -> options, and the commands beside the compiler itself."""

from __future__ import annotations

import difflib
import io
import os
import sys
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from compiler import __version__, commands, quick
from compiler.errors import HostError, SpecError
from compiler.guard import COMPLETION, complain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from click.shell_completion import CompletionItem

NAME = "appos-compile"
USAGE = 64
"""Wrong arguments, as sysexits.h has it: scripts must not take them for a spec with problems."""

SHARED = ("file", "color")
"""Options of the compilation that the other commands heed too."""

CONTRADICTIONS = (
    ("watch", "check", "--watch writes, --check does not: leave one out"),
    ("watch", "diff", "--watch writes, --diff does not: leave one out"),
    ("force", "check", "--force writes, --check does not: leave one out"),
    ("force", "diff", "--force writes, --diff does not: leave one out"),
)

# What several commands take.
FILE = click.option("-f", "--file", metavar="FILE", type=click.Path(), help="The spec.")
ENGINE = click.option(
    "--engine", type=click.Choice(("docker", "podman")), help="The engine; otherwise the first that answers."
)
LOCAL = click.option(
    "--local", is_flag=True, help="The image is made from Dockerfile.local; otherwise its history tells."
)
PRODUCTION = click.option("--production", is_flag=True, help="The image is made from Dockerfile.")


def _image_name(_: click.Context, __: click.Parameter, given: str) -> str:
    """The name of an image, an archive or a revision, none of which an engine or git could take for an option."""
    if given.startswith("-"):
        raise click.BadParameter(f"'{given}' begins with -, as no image does; a file of that name is './{given}'.")
    return given


IMAGE = click.argument("image", required=False, default="", metavar="[IMAGE|ARCHIVE]", callback=_image_name)


class _Commands(click.Group):
    """A group that knows what somebody may have meant by a command that does not exist."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None:
            ctx.fail(_no_command(args[0], self.list_commands(ctx)))
        return super().resolve_command(ctx, args)


def _no_command(name: str, commands_: Sequence[str]) -> str:
    if name.endswith((".yaml", ".yml")) or os.path.exists(name):
        return f"There is no command '{name}'. To compile another spec: {NAME} -f {name}"
    if name in ("check", "diff", "watch"):
        return f"There is no command '{name}'. Did you mean --{name}?"
    if name in ("build", "compile", "generate"):
        return f"There is no command '{name}': without a command, {NAME} compiles."
    near = difflib.get_close_matches(name, commands_, 1)
    return f"There is no command '{name}'. " + (f"Did you mean {near[0]}?" if near else f"See {NAME} --help.")


def _candidates(names: Callable[[], Sequence[str]]) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """What a shell offers for a value: the names that begin as it does."""

    def complete(_: click.Context, __: click.Parameter, begun: str) -> list[str | CompletionItem]:
        return [name for name in names() if name.startswith(begun)]

    return complete


def _presets() -> Sequence[str]:
    from compiler import starter

    return starter.presets()


def _outputs() -> Sequence[str]:
    from compiler.outputs import OUTPUTS

    return [output.name for output in OUTPUTS]


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "-f", "--file", metavar="FILE", type=click.Path(), default=quick.SPEC, show_default=True, help="The spec."
)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(),
    help="Where the files are written; what is in them stays the same.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if something is out of date.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
@click.option("--watch", is_flag=True, help="Compile again whenever something changes, until Ctrl-C.")
@click.option(
    "--format",
    type=click.Choice(("human", "json", "github", "sarif")),
    default="human",
    show_default=True,
    help="How problems are reported.",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing when all is well.")
@click.option(
    "--color",
    type=click.Choice(("auto", "always", "never")),
    default="auto",
    show_default=True,
    help="Colours; auto is for terminals, and heeds NO_COLOR.",
)
@click.option("--force", is_flag=True, help="Overwrite files that were edited by hand.")
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.version_option(__version__, "-V", "--version", prog_name=NAME, message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, /, **given: Any) -> int:
    """Compile one appos.yaml into every build file of an all-in-one container.

    Without a command: read the spec, write the files that changed, say which.

    \b
    Exit status: 0 fine; 1 out of date, or a file edited by hand; 2 the spec has
    problems; 3 the environment (unreadable, unwritable, full); 64 wrong
    arguments; 70 a bug of ours.
    """
    for name in ("file", "output"):
        if given[name] == "":
            raise click.UsageError(f"--{name} needs a name")
    options = commands.Options(**given)
    ctx.obj = options
    if ctx.invoked_subcommand is not None:
        stray = [name for name in given if name not in SHARED and _given(ctx, name)]
        if stray:
            raise click.UsageError(f"--{stray[0]} does not go with {ctx.invoked_subcommand}")
        return 0
    for one, other, why in CONTRADICTIONS:
        if given[one] and given[other]:
            raise click.UsageError(why)
    if options.watch and options.format != "human":
        raise click.UsageError("--watch reports to people: it does not go with --format")
    if options.watch:
        from compiler import watching

        return watching.watch(options)
    return commands.run(options)


def _given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE


@cli.command()
@click.option("-f", "--file", metavar="FILE", type=click.Path(), help="The spec to write.")
@click.option("--name", metavar="NAME", help="Name of the application.")
@click.option("--base", metavar="IMAGE", help="Base image, such as alpine:3.22 or debian:trixie-slim.")
@click.option(
    "--with",
    "presets",
    multiple=True,
    metavar="PRESET",
    shell_complete=_candidates(_presets),
    help="A service from a preset; may be repeated, or several with commas.",
)
@click.pass_obj
def init(
    options: commands.Options, file: str | None, name: str | None, base: str | None, presets: tuple[str, ...]
) -> int:
    """Write a commented spec to start from.

    Asks for what was not given, if there is somebody to ask. Never overwrites.
    """
    from compiler import starter

    path = file or options.file
    starter.refuse_existing(path)
    ask = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
    if ask and not presets:
        click.echo(f"Presets: {', '.join(starter.presets())}")
    asked = (
        ("Name of the application", name, starter.suggested_name(path), starter.checked_name),
        ("Base image", base, starter.suggested_base(), starter.checked_base),
        ("Services", ",".join(presets) or None, starter.PRESET, starter.checked_presets),
    )
    answers: list[Any] = []
    for question, given, default, check in asked:
        value = _checking(check)
        if given is None and ask:
            answers.append(click.prompt(question, default=default, value_proc=value))
        else:
            answers.append(value(default if given is None else given))
    for line in starter.write(path, starter.spec(*answers)):
        click.echo(line)
    click.echo(f"Edit {path}, then run: {commands.Options(file=path).command}")
    return 0


def _checking(check: Callable[[str], Any]) -> Callable[[str], Any]:
    """The same check, as click wants to hear of what fails it."""

    def checked(value: str) -> Any:
        try:
            return check(value.strip())
        except ValueError as error:
            raise click.UsageError(str(error)) from None

    return checked


@cli.command()
def schema() -> int:
    """Print the JSON Schema of the spec, for editors."""
    from compiler import starter

    click.echo(starter.schema(), nl=False)
    return 0


@cli.command()
@click.argument("code", shell_complete=_candidates(lambda: (*commands.codes(), *commands.findings())))
def explain(code: str) -> int:
    """Explain the code of a problem, with a wrong and a right example."""
    from compiler import explanation

    click.echo(explanation.text(code), nl=False)
    return 0


@cli.command()
@FILE
@click.pass_obj
def show(options: commands.Options, file: str | None) -> int:
    """Print the complete model, with presets and defaults filled in, as YAML."""
    from compiler import showing

    try:
        text = showing.model(file or options.file)
    except SpecError as error:
        return commands.rejected(error, options.color)
    click.echo(text, nl=False)
    return 0


def _checks() -> Sequence[str]:
    from compiler.verify import command

    return tuple(command.promises())


@cli.command()
@FILE
@click.option("--local", is_flag=True, help="Verify Dockerfile.local; with --production, both.")
@click.option("--production", is_flag=True, help="Verify Dockerfile: what is verified if nothing is said.")
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    shell_complete=_candidates(_checks),
    help="Make this check only; may be repeated. See --list.",
)
@click.option("--faults", is_flag=True, help="Kill, stop, fill and break things, and see what comes of it.")
@click.option(
    "--keep", is_flag=True, help="Leave the container and the image; says how to look inside and how to remove them."
)
@click.option(
    "--format",
    type=click.Choice(("human", "json", "junit")),
    default="human",
    show_default=True,
    help="How results are reported.",
)
@ENGINE
@click.option("--clean", metavar="NAME", help="Remove what an earlier verification left; it said the name.")
@click.option("--list", "listed", is_flag=True, help="List the checks and what each promises, and do nothing.")
@click.pass_obj
def verify(options: commands.Options, /, **given: Any) -> int:
    """Build the image, boot the container, and see that it does what the spec says.

    On your own engine, under names, a port and volumes of its own, which are
    removed in the end.

    \b
    Exit status: 0 fine; 1 a check failed; 2 the spec has problems; 3 no engine.
    """
    from compiler.verify import command

    promises = command.promises()
    if given["listed"]:
        for name, promise in promises.items():
            click.echo(f"{name:16} {promise}")
        return 0
    if given["clean"]:
        return command.clean(given["clean"], given["engine"])
    for name in given["only"]:
        if name not in promises:
            near = difflib.get_close_matches(name, promises, 1)
            raise click.UsageError(
                f"There is no check '{name}'. {f'Did you mean {near[0]}?' if near else 'See --list.'}"
            )
    return command.run(
        command.Options(
            given["file"] or options.file,
            options.color,
            tuple(name for name in ("production", "local") if given[name]) or ("production",),
            *(given[name] for name in ("only", "faults", "keep", "format", "engine")),
        )
    )


@cli.command()
@click.argument("names", nargs=-1)
@FILE
@click.option("--update", is_flag=True, help="Move the pins of these NAMES: images or packages; without a name, all.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if something is out of date or unsupported.")
@click.option("--offline", is_flag=True, help="Ask no registry: take the digests that the engine has.")
@click.option(
    "--format",
    type=click.Choice(("human", "json")),
    default="human",
    show_default=True,
    help="How results are reported.",
)
@ENGINE
@click.option(
    "--timeout",
    type=click.IntRange(1, 3600),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for registries, all together.",
)
@click.pass_obj
def lock(options: commands.Options, /, **given: Any) -> int:
    """Pin what the image is made from: digests of images, versions of packages.

    Writes appos.lock beside the spec: what is missing is added, what is not
    needed any more is removed, and everything else stays as it is.

    \b
    Exit status: 0 fine; 1 something is out of date (--check); 2 the spec has
    problems; 3 a registry or the engine could not tell.
    """
    from compiler.locking import command

    if given["names"] and not given["update"]:
        raise click.UsageError("names go with --update; without it, everything that is missing is pinned")
    if given["update"] and given["check"]:
        raise click.UsageError("--update writes, --check does not: leave one out")
    wanted = {**given, "file": given["file"] or options.file}
    try:
        return command.run(command.Options(color=options.color, **wanted))
    except command.UnknownNameError as error:
        raise click.UsageError(str(error)) from None


@cli.command()
@IMAGE
@FILE
@click.option("--build", is_flag=True, help="Build the image first, under the name that the spec gives it.")
@LOCAL
@PRODUCTION
@click.option("--check", is_flag=True, help="Exit with 1 if the image is over the spec's budget.")
@click.option(
    "--against",
    default="",
    metavar="REF",
    callback=_image_name,
    help="Show what grew since another image or archive, or since the numbers kept in a git revision.",
)
@click.option("--keep", is_flag=True, help="Write the numbers to size.json in the output directory, to be committed.")
@click.option("--compressed", is_flag=True, help="Measure what is pulled, by compressing where the image is plain.")
@click.option(
    "--format",
    type=click.Choice(("human", "json", "markdown", "html")),
    default="human",
    show_default=True,
    help="How the sizes are reported.",
)
@click.option("-o", "--output", default="", metavar="FILE", type=click.Path(), help="Write the report to a file.")
@ENGINE
@click.pass_obj
def size(options: commands.Options, /, **given: Any) -> int:
    """Show who asked for each byte of a built image, and hold it against the budget.

    Reads the spec's own image from the engine, or the one that is named, or an
    archive of one.

    \b
    Exit status: 0 fine; 1 over the budget; 2 the spec has problems, or no budget
    to check; 3 no engine, no such image, or an archive that cannot be read.
    """
    from compiler.image import archive
    from compiler.size import command

    if given["build"] and given["image"] and archive.local_path(given["image"]) is not None:
        raise click.UsageError(f"--build makes an image, and {given['image']} is an archive: leave one out")
    flavours = tuple(name for name in ("production", "local") if given.pop(name))
    file = given.pop("file") or options.file
    return command.run(command.Options(file=file, color=options.color, flavours=flavours, **given))


@cli.command()
@IMAGE
@FILE
@LOCAL
@PRODUCTION
@click.option(
    "--format",
    type=click.Choice(("cyclonedx", "spdx", "licences")),
    default="cyclonedx",
    show_default=True,
    help="CycloneDX 1.6 or SPDX 2.3, both as JSON, or a table of the licences.",
)
@click.option("-o", "--output", default="", metavar="FILE", type=click.Path(), help="Write to a file.")
@ENGINE
@click.pass_context
def sbom(ctx: click.Context, /, **given: Any) -> int:
    """List what an image is made of: packages, modules, artifacts, who wants each.

    Reads the spec's own image from the engine, or the one that is named, or an
    archive of one; without a spec, what is in the image alone. The same image
    gives the same bytes.

    \b
    Exit status: 0 fine; 2 the spec has problems; 3 no engine, no such image, an
    archive that cannot be read, or a library is missing.
    """
    from compiler.sbom import command

    options: commands.Options = ctx.obj
    flavours = tuple(name for name in ("production", "local") if given.pop(name))
    file = given.pop("file")
    named = bool(file) or (ctx.parent is not None and _given(ctx.parent, "file"))
    return command.run(command.Options(file or options.file, options.color, named, flavours=flavours, **given))


@cli.command()
@click.argument("paths", metavar="[FILE]...", nargs=-1, type=click.Path())
@FILE
@click.option("--base", metavar="IMAGE", default="", help="The base image that it has to run on, such as alpine:3.19.")
@click.option(
    "--platform", metavar="PLATFORM", default="", help="The platform, such as linux/arm64; otherwise this one."
)
@click.option(
    "--root",
    metavar="DIR",
    default="",
    help="The root file system that it has to run in: what is there is known exactly.",
)
@click.option(
    "--format",
    type=click.Choice(("human", "json")),
    default="human",
    show_default=True,
    help="How the results are reported.",
)
@click.pass_obj
def inspect(options: commands.Options, /, paths: tuple[str, ...], **given: Any) -> int:
    """Say whether executables, libraries and scripts can run in the image, and what they lack.

    Files, or all of those in a directory. Without any: what the spec takes
    ready-made from the tree, for its base and platforms.

    \b
    Exit status: 0 fine; 1 something could not run; 2 the spec has problems;
    3 something cannot be read.
    """
    from compiler.inspecting import command

    names = ("base", "platform", "root", "format")
    try:
        return command.run(
            command.Options(given["file"] or options.file, options.color, paths, *(given[name] for name in names))
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None


@cli.command()
@click.argument("output", metavar="OUTPUT", shell_complete=_candidates(_outputs))
def template(output: str) -> int:
    """Print the template of a generated file, to be replaced by one of your own.

    Save it beside the spec, change it, and name it there under outputs.
    """
    from compiler import overrides

    click.echo(overrides.builtin(output), nl=False)
    return 0


@cli.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> int:
    """Print the completion script of a shell.

    \b
    bash: eval "$(appos-compile completion bash)"    in ~/.bashrc
    zsh:  eval "$(appos-compile completion zsh)"     in ~/.zshrc
    fish: appos-compile completion fish | source     in ~/.config/fish/config.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:  # pragma: no cover - the choice above has only names that click knows
        raise click.UsageError(f"no completion for {shell}")
    click.echo(found(cli, {}, NAME, COMPLETION).source())
    return 0


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit status."""
    try:
        status = cli.main(list(arguments), prog_name=NAME, standalone_mode=False, complete_var=COMPLETION)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort:
        complain("\n")
        return 130
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        sys.stdout.write(commands.nothing_found(arguments))
        complain(shown.getvalue())
        return USAGE
    except HostError as error:
        complain(commands.refusal(error))
        return error.exit_code
    return status if isinstance(status, int) else 0
