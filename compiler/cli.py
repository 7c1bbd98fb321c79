"""The command line: arguments -> options, and the commands beside the compiler itself."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from compiler import __version__, commands, quick
from compiler.errors import HostError, SpecError

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "appos-compile"

FORMATS = ("human", "json", "github", "sarif")


def colored(wanted: str) -> bool:
    """Whether to use colours: ``auto`` is for a terminal that can, unless NO_COLOR says otherwise (https://no-color.org)."""
    if wanted != "auto":
        return wanted == "always"
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("-f", "--file", default=quick.SPEC, show_default=True, metavar="FILE", help="The spec.")
@click.option("-o", "--output", metavar="DIR", help="Where the files are written; their content stays the same.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if something is out of date.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
@click.option("--watch", is_flag=True, help="Compile again whenever the spec changes.")
@click.option("--format", "format_", type=click.Choice(FORMATS), default="human", show_default=True, help="How problems are reported.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing when all is well.")
@click.option("--color", type=click.Choice(("auto", "always", "never")), default="auto", show_default=True, help="Colours.")
@click.option("--force", is_flag=True, help="Overwrite files that were edited by hand.")
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.version_option(__version__, prog_name=NAME)
@click.pass_context
def cli(ctx: click.Context, **given: Any) -> int:
    """Compile one appos.yaml into every build file of an all-in-one container.

    \b
    Exit status: 0 fine; 1 out of date, or a file edited by hand; 2 the spec has
    problems; 3 the environment (unreadable, unwritable, full); 70 a bug of ours.
    """
    color = colored(given.pop("color"))
    given["format"] = given.pop("format_")
    options = commands.Options(**given, color=color)
    ctx.obj = options
    if ctx.invoked_subcommand is not None:
        return 0
    if options.watch and (options.check or options.diff):
        raise click.UsageError("--watch writes; it does not go with --check or --diff")
    return commands.watch(options) if options.watch else commands.run(options)


@cli.command()
@click.option("--name", metavar="NAME", help="Name of the application.")
@click.option("--base", metavar="IMAGE", help="Base image.")
@click.option("--with", "presets", multiple=True, metavar="PRESET", help="A service from a preset; may be repeated.")
@click.option("--force", is_flag=True, help="Overwrite a spec that exists.")
@click.pass_obj
def init(options: commands.Options, name: str | None, base: str | None, presets: tuple[str, ...], force: bool) -> int:
    """Write a commented spec to start from; asks what was not given, if there is somebody to ask."""
    from compiler import starter

    ask = sys.stdin is not None and sys.stdin.isatty()
    default = starter.name_of(os.path.basename(os.getcwd()))
    if name is None:
        name = click.prompt("Name of the application", default=default) if ask else default
    if base is None:
        base = click.prompt("Base image", default=starter.BASE) if ask else starter.BASE
    if not presets and ask:
        answer = click.prompt(f"Services from presets ({', '.join(starter.presets())})", default="nginx")
        presets = tuple(word for word in answer.replace(",", " ").split() if word)
    text = starter.spec(name, base, presets or ("nginx",))
    starter.write(options.file, text, force=force)
    click.echo(f"wrote {options.file}: edit it, then run {NAME}")
    return 0


@cli.command()
def schema() -> int:
    """Print the JSON Schema of the spec, for editors."""
    from compiler import resources

    click.echo(resources.read("schema", "appos.schema.json"), nl=False)
    return 0


@cli.command()
@click.argument("code")
def explain(code: str) -> int:
    """Explain the code of a problem, with a wrong and a right example."""
    from compiler import explanation

    click.echo(explanation.text(code), nl=False)
    return 0


@cli.command()
@click.pass_obj
def show(options: commands.Options) -> int:
    """Print the complete model, with presets and defaults filled in, as YAML."""
    from compiler import showing

    click.echo(showing.model(options.file), nl=False)
    return 0


@cli.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> int:
    """Print the completion script of a shell: eval "$(appos-compile completion bash)"."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:  # pragma: no cover - click has all three
        raise click.UsageError(f"no completion for {shell}")
    click.echo(found(cli, {}, NAME, "_APPOS_COMPILE_COMPLETE").source())
    return 0


def main(arguments: Sequence[str]) -> int:
    """Runs the command line; returns the exit status."""
    try:
        status = cli.main(list(arguments), prog_name=NAME, standalone_mode=False, complete_var="_APPOS_COMPILE_COMPLETE")
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except SpecError as error:
        sys.stderr.write(commands.reported(error.problems, commands.Options()))
        return error.exit_code
    except HostError as error:
        sys.stderr.write(f"error: {error.message}\n" + (f"  = help: {error.hint}\n" if error.hint else ""))
        return error.exit_code
    return status if isinstance(status, int) else 0
