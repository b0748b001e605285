"""Measure, and write docs/lab/performance.md: `python -m bench`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence

from bench import render
from bench.about import describe
from bench.sections import SECTIONS


def main() -> None:
    options = _parser().parse_args()
    if options.check:
        _check()
    elif options.quick:
        found = {name: SECTIONS[name].quick() for name in _announced(options.sections)}
        print(json.dumps(found, indent=2))
    else:
        if not options.render:
            _measure(options.sections)
        render.write(render.read())


def _check() -> None:
    stale = render.stale(render.read())
    if stale:
        names = ", ".join(path.name for path in stale)
        raise SystemExit(f"{names}: out of date; run python -m bench --render")


def _measure(sections: Sequence[str]) -> None:
    """Measure sections, and store each result at once."""
    machine = describe()
    for name in _announced(sections):
        found = SECTIONS[name].measure()
        render.save({**render.read(), name: {"machine": machine, "found": found}})


def _announced(sections: Sequence[str]) -> Iterator[str]:
    """Yield the requested sections, and print the time of each."""
    for name in sections or SECTIONS:
        start = time.monotonic()
        yield name
        print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    add = parser.add_argument
    add(
        "sections",
        nargs="*",
        metavar="SECTION",
        type=_section,
        help="sections to measure; default: all of " + ", ".join(SECTIONS),
    )
    add("--render", action="store_true", help="only write the document from stored results")
    add("--check", action="store_true", help="exit 1 if the document is out of date")
    add("--quick", action="store_true", help="print the results of short runs, and store nothing")
    return parser


def _section(name: str) -> str:
    if name not in SECTIONS:
        raise argparse.ArgumentTypeError(f"{name}: use some of {', '.join(SECTIONS)}")
    return name


if __name__ == "__main__":
    main()
