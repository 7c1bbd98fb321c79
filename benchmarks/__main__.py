"""Measures everything and prints one table: what, median, ratio to ``python -c pass``, goal, and whether it is met."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import images, specs
from benchmarks.processes import BARE, COMMAND, Case, interleaved, removed, saves

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.processes import Run

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SAVES = 20


class Figure(NamedTuple):
    """One row of the table; ``value`` and ``goal`` are in ``unit``; ``x`` is a multiple of ``python -c pass``."""

    what: str
    value: float
    unit: str
    goal: float | None
    median: str

    @property
    def met(self) -> bool:
        """Whether the goal, if there is one, is met."""
        return self.goal is None or self.value <= self.goal


class Row(NamedTuple):
    """A whole process to measure in multiples of ``python -c pass``."""

    what: str
    goal: float | None
    case: Callable[[str], Case]


def _cold(directory: str) -> Case:
    output = os.path.join(directory, "cold")
    return Case((COMMAND, "-f", os.path.join(directory, "appos.yaml"), "-o", output), before=removed(output))


def _unchanged(directory: str) -> Case:
    return Case((COMMAND, "-f", os.path.join(directory, "appos.yaml"), "-o", os.path.join(directory, "unchanged")))


def _edited(directory: str) -> Case:
    path = os.path.join(directory, "edited.yaml")
    levels = iter(range(1_000_000))

    def edit() -> None:
        with open(os.path.join(directory, "appos.yaml"), encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace("default: info", f"default: level{next(levels)}"))

    return Case((COMMAND, "-f", path, "-o", os.path.join(directory, "edited")), before=edit)


def _invalid(directory: str) -> Case:
    return Case(
        (COMMAND, "-f", os.path.join(directory, "mistaken.yaml"), "-o", os.path.join(directory, "invalid")), status=2
    )


ROWS = (
    Row("the flagship, all files written", 9, _cold),
    Row("the flagship, nothing changed", 3, _unchanged),
    Row("the flagship, one line changed", None, _edited),
    Row("the flagship with eleven mistakes, all reported", 18, _invalid),
)


def processes(directory: str, rounds: int) -> list[Figure]:
    """What a user waits for, as multiples of ``python -c pass``, and the memory it takes."""
    bare, *others = interleaved([Case(BARE), *(row.case(directory) for row in ROWS)], rounds)
    floor = _median(bare)
    figures = [Figure("python -c pass", 1, "x", None, f"{floor * 1000:.1f} ms")]
    for row, runs in zip(ROWS, others, strict=True):
        median = _median(runs)
        figures.append(Figure(row.what, median / floor, "x", row.goal, f"{median * 1000:.1f} ms"))
    peak = max(run.peak for run in others[0]) / 1e6
    return [*figures, Figure("peak memory, all files written", peak, "MB", 60, f"{peak:.0f} MB")]


def _median(runs: Sequence[Run]) -> float:
    return statistics.median(run.seconds for run in runs)


def watch(directory: str) -> list[Figure]:
    """From save to written."""
    milliseconds = (
        statistics.median(saves(os.path.join(directory, "appos.yaml"), os.path.join(directory, "watched"), SAVES))
        * 1000
    )
    return [Figure("--watch, from save to written", milliseconds, "ms", 50, f"{milliseconds:.1f} ms")]


def within(directory: str) -> list[Figure]:
    """Many and large specs in one process."""
    arguments = (sys.executable, "-m", "benchmarks.within", os.path.join(directory, "appos.yaml"))
    found: Mapping[str, float] = json.loads(subprocess.run(arguments, check=True, capture_output=True, cwd=ROOT).stdout)
    each, grown = found["each"] * 1000, found["grown"] / 1e6
    return [
        Figure("1,000 different specs in one process, each", each, "ms", 5, f"{each:.2f} ms"),
        Figure("memory grown between 200 and 1,000 of them", grown, "MB", 2, f"{grown:.2f} MB"),
        Figure(
            "1,000 services and routes, against 100", found["linear"], "times", 12, f"{found['large'] * 1000:.0f} ms"
        ),
    ]


def sizes(directory: str) -> list[Figure]:
    """`size` of an image of 1 GB."""
    return [
        figure
        for found in images.measured(directory)
        for figure in (
            Figure(f"size of 1 GB, from {found.what}", found.seconds, "s", 10, f"{found.seconds:.1f} s"),
            Figure("peak memory of that", found.peak / 1e6, "MB", 200, f"{found.peak / 1e6:.0f} MB"),
        )
    ]


def table(figures: Sequence[Figure]) -> str:
    """The figures as a table in Markdown."""
    rows = [("what", "median", "ratio or figure", "goal", "met")]
    for figure in figures:
        goal = "" if figure.goal is None else f"<= {figure.goal:g} {figure.unit}"
        rows.append(
            (
                figure.what,
                figure.median,
                f"{figure.value:.2f} {figure.unit}",
                goal,
                "" if figure.goal is None else "yes" if figure.met else "NO",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def main() -> int:
    """Prints the table; the exit status is 1 if a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=31, help="runs of each process (31)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="appos-bench-") as directory:
        shutil.copy(os.path.join(ROOT, "appos.yaml"), directory)
        with open(os.path.join(directory, "appos.yaml"), encoding="utf-8") as file:
            mistaken = specs.mistaken(file.read())
        with open(os.path.join(directory, "mistaken.yaml"), "w", encoding="utf-8") as file:
            file.write(mistaken)
        figures = [*processes(directory, options.rounds), *watch(directory), *within(directory), *sizes(directory)]
    print(table(figures))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump([{**figure._asdict(), "met": figure.met} for figure in figures], file, indent=2)
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
