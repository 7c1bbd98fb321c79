"""The generated container beside a hand-written one, in one run on one machine: ``python -m benchmarks.container``.

Prints one table: what, both medians, their ratio, goal, and whether it is met.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import container_build, container_inside, container_load
from benchmarks.container_side import LIMIT, Side, copy_context, quiet
from compiler.errors import CompileError
from compiler.verify import engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.container_inside import Memory

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GZIP = "Accept-Encoding: gzip"
ASSETS = "/usr/share/nginx/html/assets"
ENOUGH = 40.0
"""Seconds after which something slow is not measured again, and its median is of fewer runs."""

REBUILDS = 3

FORMATS = {
    "s": "{:.2f} s",
    "/s": "{:,.0f}/s",
    "MiB": "{:.1f} MiB",
    "MB": "{:.1f} MB",
    "ms/s": "{:.1f} ms/s",
    "": "{:.0f}",
}


class Row(NamedTuple):
    """One row of the table. The goal is a limit for ours, or, where it is a multiple, for ours over theirs."""

    what: str
    unit: str
    ours: float
    theirs: float
    goal: float | None = None
    multiple: bool = False

    @property
    def ratio(self) -> float:
        """Ours over theirs."""
        return self.ours / self.theirs if self.theirs else math.nan

    @property
    def met(self) -> bool:
        """Whether the goal, if there is one, is met."""
        if self.goal is None:
            return True
        return self.ratio >= self.goal if self.multiple else self.ours <= self.goal


class Samples:
    """What was measured, by what it is and of whom."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, list[float]]] = {}
        self._spent: dict[tuple[str, str], float] = {}

    def add(self, side: Side, what: str, value: float) -> None:
        """Keep a value."""
        self.values.setdefault(what, {}).setdefault(side.name, []).append(value)

    def wanted(self, side: Side, what: str) -> bool:
        """Whether to measure it once more: what has taken long enough is not."""
        return self._spent.get((side.name, what), 0) < ENOUGH

    @contextlib.contextmanager
    def spending(self, side: Side, what: str) -> Iterator[None]:
        """Count the time that is spent on measuring something."""
        start = time.perf_counter()
        yield
        self._spent[side.name, what] = self._spent.get((side.name, what), 0) + time.perf_counter() - start

    def row(self, what: str, unit: str, goal: float | None = None, *, label: str = "", multiple: bool = False) -> Row:
        """The medians of what was measured."""
        ours, theirs = (statistics.median(self.values[what][name]) for name in ("generated", "written"))
        return Row(label or what, unit, ours, theirs, goal, multiple)


# --- what is measured


def lives(side: Side, samples: Samples, patience: float) -> None:
    """One life on an empty volume, in which each service is killed, and one on the volume that is left."""
    side.create()
    quiet(patience)
    samples.add(side, "empty", side.start(healthy=False).first)
    side.settle()
    for service in container_inside.SERVICES:
        what = f"kill {service.name}"
        if samples.wanted(side, what):
            quiet(patience)
            with samples.spending(side, what):
                samples.add(side, what, container_inside.back(side, service))
            _serves(side)
    side.kill()
    quiet(patience)
    with samples.spending(side, "healthy"):
        start = side.start(healthy=samples.wanted(side, "healthy"))
    samples.add(side, "existing", start.first)
    if start.healthy:
        samples.add(side, "healthy", start.healthy)
    side.settle()
    quiet(patience)
    samples.add(side, "stop", side.stop())


def _serves(side: Side) -> None:
    """Wait until all of it works again, but not for ever: some never do."""
    end = time.perf_counter() + LIMIT / 9
    while side.status() != 200 and time.perf_counter() < end:  # noqa: PLR2004 - the one right answer
        time.sleep(0.05)
    time.sleep(1)


def rates(sides: Sequence[Side], samples: Samples, runs: int, patience: float) -> list[str]:
    """Requests a second of each path, turn about; return what is to be said of each."""
    addresses = {side.name: side.address() for side in sides}
    assets = {side.name: largest(side) for side in sides}
    found: dict[str, list[container_load.Rate]] = {}
    for _ in range(runs):
        for what, headers in (("asset", (GZIP,)), ("page", ()), ("api", ())):
            for side in sides:
                quiet(patience)
                path = {"asset": assets[side.name][0], "page": "/", "api": "/api/health"}[what]
                rate = container_load.rate(addresses[side.name], path, *headers)
                samples.add(side, what, rate.requests)
                found.setdefault(f"{what}, {side.name}", []).append(rate)
    return [
        f"{name}: 99 of 100 within {statistics.median(rate.p99 for rate in values):.1f} ms"
        + (f", {wrong:.2%} wrong answers" if (wrong := statistics.fmean(rate.wrong for rate in values)) else "")
        for name, values in found.items()
    ]


def largest(side: Side) -> tuple[str, int]:
    """The path and the size of the largest script."""
    listed = side.run("sh", "-c", f"cd {ASSETS} && wc -c *.js").split("\n")
    sizes = [(int(size), name) for size, name in (line.split() for line in listed if line) if name != "total"]
    size, name = max(sizes)
    return f"/assets/{name}", size


def loaded(side: Side) -> dict[str, Memory]:
    """The most that each service has in memory while it is asked by many."""
    address, most = side.address(), container_inside.memory(side)
    for path, headers in ((largest(side)[0], (GZIP,)), ("/", ()), ("/api/health", ())):
        running = container_load.start(address, path, *headers)
        time.sleep(container_load.SECONDS / 2)
        now = container_inside.memory(side)
        container_load.result(running)
        most = {name: max(most[name], now[name], key=lambda memory: memory.pss) for name in most}
    return most


def rebuilds(sides: Sequence[Side], context: str, samples: Samples, runs: int) -> dict[str, list[str]]:
    """Build again after a line has changed in the backend; return what each did needlessly."""
    needless: dict[str, list[str]] = {}
    container_build.change(context)
    for side in sides:
        # The base images may be others by now, and a build without a cache leaves none for what a compiler keeps.
        side.build()
    for _ in range(min(runs, REBUILDS)):
        container_build.change(context)
        for side in sides:
            if samples.wanted(side, "rebuild"):
                with samples.spending(side, "rebuild"):
                    took, progress = side.build()
                steps = container_build.steps(progress)
                needless[side.name] = container_build.needless(steps, progress)
                samples.add(side, "rebuild", took)
                samples.add(side, "steps", sum(step.ran for step in steps))
                samples.add(side, "needless", len(needless[side.name]))
    return needless


# --- what is printed


def rows(samples: Samples, asset: int) -> list[Row]:
    """The table's rows, from what was measured."""
    compressed = f"{asset / 1000:.0f} KB script, gzip, 32 connections"
    return [
        samples.row("existing", "s", 1.5, label="start on an existing volume, to the first 200"),
        samples.row("empty", "s", 3, label="start on an empty volume, to the first 200"),
        samples.row("healthy", "s", 3, label="start to healthy"),
        samples.row("stop", "s", 1.5, label="docker stop, idle"),
        *(
            samples.row(f"kill {service.name}", "s", 1.5, label=f"{service.name} serves again after SIGKILL")
            for service in container_inside.SERVICES
        ),
        samples.row("asset", "/s", 50, label=compressed, multiple=True),
        samples.row("page", "/s", 1, label="/, 32 connections", multiple=True),
        samples.row("api", "/s", 1, label="/api/health, 32 connections", multiple=True),
        samples.row("rebuild", "s", label="rebuild after one line of the backend"),
        samples.row("steps", "", label="steps of it that ran"),
        samples.row("needless", "", 0, label="steps and downloads that it did not need"),
        samples.row("own", "MiB", 60, label="memory at rest without backend and Convex"),
        samples.row("all", "MiB", label="memory at rest, everything"),
        samples.row("processor", "ms/s", label="processor time at rest"),
        samples.row("size", "MB", label="image, uncompressed"),
    ]


def table(found: Sequence[Row]) -> str:
    """The rows as a table in Markdown."""
    lines: list[tuple[str, ...]] = [("what", "generated", "hand-written", "ratio", "goal", "met")]
    for row in found:
        goal = "" if row.goal is None else f">= {row.goal:g} x" if row.multiple else f"<= {_cell(row.goal, row.unit)}"
        ratio = "" if math.isnan(row.ratio) or math.isinf(row.theirs) else f"{row.ratio:.2f} x"
        met = "" if row.goal is None else "yes" if row.met else "NO"
        lines.append((row.what, _cell(row.ours, row.unit), _cell(row.theirs, row.unit), ratio, goal, met))
    return _markdown(lines)


def memories(rest: Mapping[str, Mapping[str, Memory]], load: Mapping[str, Mapping[str, Memory]]) -> str:
    """What each service takes of the memory; the part of it that is its own where pages are shared."""
    lines: list[tuple[str, ...]] = [
        ("memory, MiB: PSS (RSS)", "generated, at rest", "under load", "hand-written, at rest", "under load")
    ]
    for name in rest["generated"]:
        cells = [kind[side][name] for side in ("generated", "written") for kind in (rest, load)]
        lines.append((name, *(f"{cell.pss:.1f} ({cell.rss:.1f})" for cell in cells)))
    return _markdown(lines)


def _cell(value: float, unit: str) -> str:
    if math.isinf(value):
        return f"never ({container_inside.NEVER} s)"
    return "" if math.isnan(value) else FORMATS[unit].format(value)


def _markdown(lines: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    texts.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(texts)


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


# --- all of it


def compare(directory: str, runs: int, patience: float) -> tuple[list[Row], str, Mapping[str, object]]:
    """Measure everything: the rows, the text below the table, and the samples."""
    reached = engine.find()
    samples = Samples()
    with contextlib.ExitStack() as stack:
        context = stack.enter_context(tempfile.TemporaryDirectory(prefix="appos-bench-"))
        copy_context(directory, context)
        sides = []
        for name, files in (("generated", "build"), ("written", "benchmarks/baseline")):
            side = Side(name, reached, context, files)
            stack.callback(side.close)
            sides.append(side)
        for side in sides:
            _say(f"{side.name}: image built in {side.build()[0]:.1f} s")
            samples.add(side, "size", side.size() / 1e6)
        for number in range(runs):
            for side in sides:
                _say(f"{side.name}: lives, {number + 1} of {runs}; load average {os.getloadavg()[0]:.1f}")
                lives(side, samples, patience)
        rest, load = {}, {}
        for side in sides:
            side.start(healthy=False)
            side.settle()
            samples.add(side, "processor", container_inside.processor(side))
            rest[side.name] = container_inside.memory(side)
            used = {name: memory.pss for name, memory in rest[side.name].items()}
            samples.add(side, "all", sum(used.values()))
            samples.add(side, "own", sum(used.values()) - sum(used[name] for name in container_inside.PAYLOAD))
        _say("requests")
        remarks = rates(sides, samples, runs, patience)
        for side in sides:
            load[side.name] = loaded(side)
        asset = largest(sides[0])[1]
        convex = sides[0].run("wget", "-q", "-O", "-", "http://127.0.0.1:3210/version").strip()
        for side in sides:
            side.kill()
        _say("rebuilds")
        needless = rebuilds(sides, context, samples, runs)
    notes = [
        memories(rest, load),
        "",
        f"Engine {reached.version}, {os.cpu_count()} processors, medians of {runs}, fewer of what takes long.",
        f"Convex says that it is {convex}.",
        *remarks,
        *(f"needless, {name}: {', '.join(found)}" for name, found in needless.items() if found),
    ]
    return rows(samples, asset), "\n".join(notes), {**samples.values, "rest": rest, "load": load}


def main() -> int:
    """Prints the table; the exit status is 1 if a goal is missed, 2 if nothing could be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.container", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each measurement (5)")
    parser.add_argument(
        "--patience", type=float, default=10, help="seconds to wait for a quiet machine before each of them (10)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures there as well")
    parser.add_argument("--directory", default=ROOT, help="where build/, backend/ and dashboard/ lie (this repository)")
    options = parser.parse_args()
    # Being told to end is no reason to leave containers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        found, notes, samples = compare(options.directory, options.runs, options.patience)
    except KeyboardInterrupt:
        return 130
    except CompileError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except (RuntimeError, subprocess.SubprocessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table(found))
    print()
    print(notes)
    if options.json:
        result = {"rows": [{**row._asdict(), "met": row.met} for row in found], "samples": samples}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=2)
    return 0 if all(row.met for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
