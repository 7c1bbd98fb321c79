"""A report for people: lines of text; and the line on a terminal that says how far the reading has come."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from compiler.report import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiler.size.report import Part, Report

MOST_PARTS = 5
"""Of a share; the rest is summed up in a line."""

MOST_STRAYS = 20
OTHERWISE = "Podman counts the tar streams, a containerd store whole blocks and the compressed layers, too"
"""Why an engine has another number; Docker's other stores count as it is done here."""

BETWEEN = 0.1
"""Seconds between two words on how far the reading has come."""


def size(count: int | None) -> str:
    """Bytes as people read them, in the units of `docker images`."""
    if count is None:
        return "-"
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if abs(count) >= factor:
            value = count / factor
            digits = 2 if len(str(int(value))) == 1 else 1
            return f"{value:.{digits}f} {unit}"
    return f"{count} B"


def human(report: Report) -> str:
    """The shares, largest first, each with its largest parts; then what is nobody's."""
    lines = [f"{report.image}  {report.id.removeprefix('sha256:')[:12]}", *_totals(report), ""]
    lines.append(f"  {'uncompressed':>12}  {'compressed' if report.compressed is not None else '':>10}")
    for share in report.shares:
        lines.append(_row(share.uncompressed, share.compressed, str(share.owner), report))
        shown = share.parts if len(share.parts) <= MOST_PARTS + 1 else share.parts[:MOST_PARTS]
        lines += [_row(part.uncompressed, part.compressed, f"  {_named(part)}", report) for part in shown]
        rest = share.parts[len(shown) :]
        if rest:
            sums = sum(part.uncompressed for part in rest), sum(part.compressed for part in rest)
            lines.append(_row(*sums, f"  {len(rest)} more", report))
    if report.against:
        lines += ["", *grown(report)]
    if report.nobody:
        lines += ["", f"nobody asked for {len(report.nobody)} files:"]
        lines += [f"  {size(s.size):>12}  layer {s.layer}  {s.path}" for s in report.nobody[:MOST_STRAYS]]
        if len(report.nobody) > MOST_STRAYS:
            lines.append(f"  and {len(report.nobody) - MOST_STRAYS} more: --format json lists all")
    if report.advice:
        lines += ["", "what could be smaller:"]
    for item in report.advice:
        lines += [f"  {size(item.bytes):>12}  {item.what}", f"{'':16}{item.todo}"]
        lines += [f"  {'':12}  {size(place.bytes):>9}  {place.path}" for place in item.places]
        lines += [f"  {'':12}  {'':>9}  and {item.more} more"] if item.more else []
    return "".join(f"{printable(line)}\n" for line in lines)


def _totals(report: Report) -> list[str]:
    budget = report.budget
    allowed = (budget.uncompressed, budget.compressed) if budget else (None, None)
    lines = [_total("uncompressed", report.uncompressed, allowed[0], "")]
    if report.engine is not None:
        same = report.engine == report.uncompressed
        lines[0] += ", as the engine counts" if same else f"; the engine counts {report.engine:,} ({OTHERWISE})"
    if report.compressed is not None:
        note = ", estimated: compressed here with gzip" if report.measured else ""
        lines.append(_total("compressed", report.compressed, allowed[1], note))
    return lines


def _total(what: str, count: int, allowed: int | None, note: str) -> str:
    line = f"  {what:12}  {size(count):>9}  {count:,} bytes{note}"
    if allowed is not None:
        left = allowed - count
        line += f"; budget {size(allowed)}, " + (f"{size(left)} left" if left >= 0 else f"{size(-left)} over")
    return line


def _row(uncompressed: int, compressed: int, name: str, report: Report) -> str:
    packed = size(compressed) if report.compressed is not None else ""
    return f"  {size(uncompressed):>12}  {packed:>10}  {name}"


def _named(part: Part) -> str:
    name = f"{part.name} {part.version}".strip()
    return f"{name} (for {', '.join(part.shared_with)})" if part.shared_with else name


def grown(report: Report) -> list[str]:
    """What is not what it was, as lines; first what grew most."""
    found = report.against
    if found is None:
        return []
    change = report.uncompressed - found.uncompressed
    lines = [f"since {found.name}: {change:+,} bytes uncompressed"]
    if report.compressed is not None and found.compressed is not None:
        lines[0] += f", {report.compressed - found.compressed:+,} compressed"
    for item in found.changes:
        indent = "  " if item.kind == "share" else "      package "
        lines.append(f"{item.after - item.before:>+15,}{indent}{item.name}  ({item.before:,} -> {item.after:,})")
    return lines


@contextmanager
def progress(name: str, total: int | None) -> Iterator[Progress]:
    """Show how far the reading of an image has come, and take it back in the end."""
    shown = Progress(name, total, live=sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb"))
    try:
        yield shown
    finally:
        shown.close()


class Progress:
    """How many bytes have been read, on stderr while it is a terminal; nothing otherwise."""

    def __init__(self, name: str, total: int | None, *, live: bool) -> None:
        self._name = printable(name)
        self._total = total
        self._live = live
        self._read = 0
        self._shown = 0.0

    def __call__(self, count: int) -> None:
        """So many bytes more."""
        self._read += count
        now = time.monotonic()
        if self._live and now - self._shown > BETWEEN:
            self._shown = now
            of = f" of about {size(self._total)}" if self._total else ""
            sys.stderr.write(f"\r\033[Kreading {self._name}: {size(self._read)}{of}"[:110])
            sys.stderr.flush()

    def close(self) -> None:
        """Take back what is shown."""
        if self._live:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
