"""What users of replicate 1 write. Usage: p1.py SCENARIO

Prints what came of it as JSON; audio is read from and written to the current folder.
"""

import asyncio
import io
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import replicate
from replicate.client import Client
from replicate.exceptions import ModelError, ReplicateError
from replicate.webhook import WebhookValidationError

VERSION = "7a76a8258b23fae65c5a22debb8841d1d7e816b75c2f24218cd2bd8573787906"
MODEL = f"meta/musicgen:{VERSION}"
MUSIC = {"prompt": "happy rock", "duration": 1}
FAIL = json.loads(os.environ.get("FAIL", '{"prompt": "fail"}'))  # what the server cannot do


def run():
    by_version = replicate.run(MODEL, input=MUSIC)
    by_name = replicate.run("facebookresearch/musicgen", input=MUSIC)
    polled = replicate.run(MODEL, input=MUSIC, wait=False)
    return {
        "version": saved("version", by_version.read(), by_version),
        "name": saved("name", b"".join(by_name), by_name),
        "asynchronous": asyncio.run(run_asynchronously()),
        "polled": {"kind": type(polled).__name__, "url": str(polled)},
    }


async def run_asynchronously():
    output = await replicate.async_run(MODEL, input=MUSIC)
    return saved("asynchronous", await output.aread(), output)


def saved(name, audio, output):
    Path(f"{name}.wav").write_bytes(audio)
    return {"kind": type(output).__name__, "url": output.url[:40]}


def variations():
    outputs = replicate.run("toccata/musicgen", input={**MUSIC, "seed": 7, "count": 2})
    return [saved(f"variation-{i}", one.read(), one) for i, one in enumerate(outputs)]


def seeded():
    seeds = {"first": 7, "again": 7, "other": 8}
    outputs = {
        name: replicate.run(MODEL, input={**MUSIC, "seed": seed}) for name, seed in seeds.items()
    }
    return {name: saved(name, output.read(), output) for name, output in outputs.items()}


def carry_on():
    begun = replicate.run(MODEL, input=MUSIC)
    Path("begun.wav").write_bytes(begun.read())
    with Path("begun.wav").open("rb") as song:
        output = replicate.run(MODEL, input={**MUSIC, "input_audio": song, "continuation": True})
    return saved("song", output.read(), output)


def patience():
    output = replicate.run(MODEL, input={"prompt": "slow 1.5", "duration": 1}, wait=1)
    return saved("song", output.read(), output)


def by_hand():
    prediction = replicate.predictions.create(version=VERSION, input=MUSIC)
    first = prediction.status
    prediction.wait()
    same = replicate.predictions.get(prediction.id)
    return {
        "first": first,
        "last": prediction.status,
        "url": same.output,
        "logs": prediction.logs,
        "metrics": sorted(prediction.metrics),
    }


def cancel():
    prediction = replicate.predictions.create(
        version=VERSION, input={"prompt": "slow 60", "duration": 30}
    )
    while prediction.status == "starting":
        time.sleep(0.05)
        prediction.reload()
    seen = prediction.status
    prediction.cancel()
    return {"seen": seen, "last": prediction.status, "output": prediction.output}


def errors():
    def status(call):
        try:
            call()
        except ReplicateError as error:
            return [error.status, error.detail]
        except ModelError as error:
            return [error.prediction.status, str(error)]

    create, stranger = replicate.predictions.create, Client(api_token="wrong")
    return {
        "failure": status(lambda: replicate.run(MODEL, input=FAIL)),
        "input": status(lambda: create(version=VERSION, input={"duration": "long"})),
        "version": status(lambda: create(version="f" * 64, input=MUSIC)),
        "token": status(lambda: stranger.run(MODEL, input=MUSIC)),
        "id": status(lambda: replicate.predictions.get("nobody")),
    }


def upload():
    song = Path("pièce.wav")

    def back(audio, **options):
        given = {"model_version": "encode-decode", "input_audio": audio}
        output = replicate.run(MODEL, input=given, **options)
        return output.read() == song.read_bytes()

    return {
        "handle": back(song.open("rb")),
        "path": back(song),
        "memory": back(io.BytesIO(song.read_bytes())),
        "address": back(replicate.files.create(song).urls["get"]),
        "base64": back(song, file_encoding_strategy="base64"),
    }


def files():
    file = replicate.files.create(Path("pièce.wav"), metadata={"take": {"of": "7"}})
    known = replicate.files.get(file.id)
    listed = [each.id for each in replicate.files.list()]
    deleted = replicate.files.delete(file.id)
    try:
        replicate.files.get(file.id)
    except ReplicateError as error:
        gone = error.status
    return {
        "name": known.name,
        "type": known.content_type,
        "size": known.size,
        "metadata": known.metadata,
        "listed": file.id in listed,
        "deleted": deleted,
        "gone": gone,
    }


def stream():
    names = []
    for event in replicate.stream(
        MODEL, input={"prompt": "slow 1, happy rock with drums", "duration": 1}
    ):
        names.append(event.event.value)
        if event.event is event.EventType.OUTPUT:
            output = event.data
    try:
        list(replicate.stream(MODEL, input=FAIL))
    except RuntimeError as error:
        failure = str(error)
    return {
        "names": names,
        "kind": type(output).__name__,
        "url": str(output),
        "failure": failure,
    }


def stream_again():
    prediction = replicate.predictions.create(version=VERSION, input=MUSIC)
    prediction.wait()
    return [event.event.value for event in prediction.stream()]


def progress():
    prediction = replicate.predictions.create(version=VERSION, input={"prompt": "slow 0.6"})
    seen = []
    while prediction.status in ("starting", "processing"):
        time.sleep(0.05)
        prediction.reload()
        if prediction.progress and prediction.progress.current not in seen:
            seen.append(prediction.progress.current)
    last = prediction.progress
    return {"seen": seen, "total": last.total, "last": last.percentage}


def models():
    model = replicate.models.get("meta/musicgen")
    versions = model.versions.list()
    version = model.versions.get(VERSION)
    return {
        "name": f"{model.owner}/{model.name}",
        "latest": model.latest_version.id,
        "versions": [each.id for each in versions],
        "inputs": list(version.openapi_schema["components"]["schemas"]["Input"]["properties"]),
        "listed": [f"{each.owner}/{each.name}" for each in replicate.models.list()],
        "found": [f"{each.owner}/{each.name}" for each in replicate.models.search("meta/music")],
    }


def pages():
    found = list(replicate.paginate(replicate.predictions.list))
    return {"pages": len(found), "ids": [each.id for page in found for each in page]}


def account():
    return {
        "username": replicate.default_client.accounts.current().username,
        "hardware": [each.sku for each in replicate.hardware.list()],
        "lists": [
            len(replicate.collections.list().results),
            len(replicate.deployments.list().results),
            len(replicate.trainings.list().results),
        ],
        "secret": replicate.webhooks.default.secret().key,
    }


def webhook():
    arrived = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            arrived.append((dict(self.headers), body.decode()))
            self.send_response(200)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        url = f"http://127.0.0.1:{server.server_port}/"
        prediction = replicate.predictions.create(
            version=VERSION, input=MUSIC, webhook=url, webhook_events_filter=["completed"]
        )
        server.handle_request()
    headers, body = arrived[0]
    secret = replicate.webhooks.default.secret()
    replicate.webhooks.validate(headers=headers, body=body, secret=secret, tolerance=60)
    try:
        replicate.webhooks.validate(headers=headers, body=body + " ", secret=secret)
    except WebhookValidationError as error:
        forged = str(error)
    told = json.loads(body)
    return {"status": told["status"], "same": told["id"] == prediction.id, "forged": forged}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]]()))
