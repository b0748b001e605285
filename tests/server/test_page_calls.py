"""The calls that the page shows are calls that work."""

from __future__ import annotations

import ast
import json
import shlex

from toccata.server.ui.page_calls import curl_call, javascript_call, python_call
from toccata.server.versions import LATEST

VERSION = LATEST["toccata/musicgen"]
GIVEN = {"prompt": 'it\'s "quick"\n$HOME', "continuation": True, "duration": 8}
BASE = "http://127.0.0.1:5000"


def test_the_shell_hands_over_what_is_on_screen() -> None:
    words = shlex.split(curl_call(BASE, VERSION, GIVEN).replace("\\\n", " "))
    assert words[:3] == ["curl", "-s", f"{BASE}/v1/models/toccata/musicgen/predictions"]
    assert json.loads(words[-1]) == {"input": GIVEN}


def test_python_says_the_same() -> None:
    tree = ast.parse(python_call(BASE, VERSION, GIVEN))
    given = next(word for node in ast.walk(tree) if isinstance(node, ast.Call)
                 for word in node.keywords if word.arg == "input")  # fmt: skip
    assert ast.literal_eval(given.value) == GIVEN


def test_javascript_says_the_same() -> None:
    lines = javascript_call(BASE, VERSION, GIVEN).split("input: {")[1].split("  } }")[0]
    pairs = dict(line.strip().rstrip(",").split(": ", 1) for line in lines.strip().splitlines())
    assert {name: json.loads(value) for name, value in pairs.items()} == GIVEN
