"""`python -m bench`: measure what the options say, and show it."""

from __future__ import annotations

import json
from dataclasses import asdict

from bench import machine, speed, startup
from bench.child import in_child
from bench.options import Plan, plan
from bench.report import Results, document, tables


def main() -> None:
    wanted = plan()
    results = _results(wanted)
    print(json.dumps(asdict(results), indent=2) if wanted.as_json else tables(results))
    if wanted.write:
        wanted.write.write_text(document(results), encoding="utf-8")


def _results(wanted: Plan) -> Results:
    about = machine.describe()
    speeds = [speed.run(one) for one in wanted.speeds]
    if wanted.model is None:
        return Results(about, speeds)
    speed.say(f"the start of {wanted.model}")
    start = startup.measure(model=wanted.model)
    speed.say(f"the memory of {wanted.model}")
    return Results(about, speeds, start, in_child("memory", model=wanted.model))


if __name__ == "__main__":
    main()
