"""Measurements inside one process: ``python -m benchmarks.within FLAGSHIP`` -> JSON on stdout.

A process of its own, so that nothing else is in its memory.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
from time import process_time

from benchmarks import specs
from compiler import load, pipeline
from compiler.__main__ import GARBAGE

SPECS = 1000
WARM = 200
SIZES = (100, 1000)
ROUNDS = 9


def resident() -> int:
    """The bytes of this process that lie in memory."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def seconds(text: str, directory: str) -> float:
    """The processor time from a spec's text to all its files: nothing here waits, and other processes do not count."""
    start = process_time()
    pipeline.compile_document(load.parse(text.encode(), "appos.yaml"), directory)
    return process_time() - start


def main(path: str) -> None:
    """Compiles many specs, then large ones, with the settings of the command."""
    gc.set_threshold(GARBAGE)
    with open(path, encoding="utf-8") as file:
        flagship = file.read()
    directory = os.path.dirname(os.path.abspath(path))
    times, memory = [], {}
    for number in range(1, SPECS + 1):
        times.append(seconds(specs.variant(flagship, number), directory))
        if number in (WARM, SPECS):
            memory[number] = resident()
    texts = [specs.large(size) for size in SIZES]
    small, large = [], []
    for _ in range(ROUNDS):
        # As long for the small one as for the large one, side by side, so that whatever else happens hits both.
        small += [seconds(texts[0], directory) for _ in range(SIZES[1] // SIZES[0])]
        large.append(seconds(texts[1], directory))
    result = {
        "each": statistics.fmean(times),
        "grown": memory[SPECS] - memory[WARM],
        "large": statistics.median(large),
        "linear": statistics.median(large) / statistics.median(small),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1])
