"""The calls that do what is on the page: curl, Python and JavaScript."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from toccata.server.versions import Version


def curl_call(base: str, version: Version, given: Mapping[str, Any]) -> str:
    body = shlex.quote(json.dumps({"input": dict(given)}, ensure_ascii=False))
    return (
        f"curl -s {base}/v1/models/{version.model}/predictions \\\n"
        '  -H "Authorization: Bearer $REPLICATE_API_TOKEN" \\\n'
        "  -H 'Content-Type: application/json' -H 'Prefer: wait' \\\n"
        f"  -d {body}"
    )


def python_call(base: str, version: Version, given: Mapping[str, Any]) -> str:
    lines = "".join(f"        {name!r}: {value!r},\n" for name, value in given.items())
    return (
        "import os\n\nimport replicate\n\n"
        f'client = replicate.Client(os.environ["REPLICATE_API_TOKEN"], base_url="{base}")\n'
        "output = client.run(\n"
        f'    "{version.model}:{version.id}",\n'
        f"    input={{\n{lines}    }},\n"
        ")\n"
    )


def javascript_call(base: str, version: Version, given: Mapping[str, Any]) -> str:
    lines = "".join(
        f"    {name}: {json.dumps(value, ensure_ascii=False)},\n" for name, value in given.items()
    )
    return (
        'import Replicate from "replicate";\n\n'
        "const replicate = new Replicate({\n"
        f'  auth: process.env.REPLICATE_API_TOKEN,\n  baseUrl: "{base}/v1",\n}});\n'
        "const output = await replicate.run(\n"
        f'  "{version.model}:{version.id}",\n'
        f"  {{ input: {{\n{lines}  }} }},\n"
        ");\n"
    )
