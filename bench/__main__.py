"""`python -m bench`: measure, and make docs/lab/performance.md of it."""

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
    given = _parser().parse_args()
    if given.check:
        _check()
    elif given.quick:
        found = {name: SECTIONS[name].quick() for name in _announced(given.sections)}
        print(json.dumps(found, indent=2))
    else:
        if not given.render:
            _measure(given.sections)
        render.write(render.read())


def _check() -> None:
    stale = render.stale(render.read())
    if stale:
        names = ", ".join(path.name for path in stale)
        raise SystemExit(f"{names}: out of date; run python -m bench --render")


def _measure(sections: Sequence[str]) -> None:
    """Each section is kept as soon as it is there."""
    machine = describe()
    for name in _announced(sections):
        found = SECTIONS[name].measure()
        render.save({**render.read(), name: {"machine": machine, "found": found}})


def _announced(sections: Sequence[str]) -> Iterator[str]:
    """Those that are wanted; after each, how long it took."""
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
        help="default: all of " + ", ".join(SECTIONS),
    )
    add("--render", action="store_true", help="measure nothing")
    add("--check", action="store_true", help="exit 1 if the document is not as its results")
    add("--quick", action="store_true", help="a short run of each, shown and not kept")
    return parser


def _section(name: str) -> str:
    if name not in SECTIONS:
        raise argparse.ArgumentTypeError(f"{name}: use some of {', '.join(SECTIONS)}")
    return name


if __name__ == "__main__":
    main()
