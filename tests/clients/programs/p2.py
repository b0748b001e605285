"""What users of replicate 2 write. Usage: p2.py SCENARIO

Prints what came of it as JSON; audio is read from and written to the current folder.
"""

import asyncio
import io
import json
import os
import sys
import time
from pathlib import Path

import replicate
from replicate import APIStatusError, AsyncReplicate, Replicate
from replicate.exceptions import ModelError

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
    output = await AsyncReplicate().run(MODEL, input=MUSIC)
    return saved("asynchronous", await output.read(), output)


def saved(name, audio, output):
    Path(f"{name}.wav").write_bytes(audio)
    return {"kind": type(output).__name__, "url": replicate.get_path_url(output)[:40]}


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


def hurry():
    hurried = Replicate(timeout=3, max_retries=0)
    output = hurried.run(MODEL, input={"prompt": "slow 3", "duration": 1})
    return saved("song", output.read(), output)


def repetition():
    hurried = Replicate(timeout=0.8, max_retries=9)
    output = hurried.run(MODEL, input={"prompt": "slow 1.8", "duration": 1})
    return saved("song", output.read(), output)


def use():
    musicgen = replicate.use(MODEL)
    by_version = musicgen(**MUSIC)
    going = replicate.use("meta/musicgen").create(**MUSIC)
    by_name = going.output()
    try:
        musicgen(**FAIL)
    except ModelError as error:
        failure = str(error)
    return {
        "version": saved("version", Path(by_version).read_bytes(), by_version),
        "name": saved("name", Path(by_name).read_bytes(), by_name),
        "logs": going.logs(),
        "failure": failure,
    }


def by_hand():
    prediction = replicate.predictions.create(version=VERSION, input=MUSIC)
    first = prediction.status
    prediction = replicate.predictions.wait(prediction.id)
    return {
        "first": first,
        "last": prediction.status,
        "url": prediction.output,
        "logs": prediction.logs,
        "metrics": sorted(prediction.metrics.model_dump(exclude_none=True)),
    }


def cancel():
    prediction = replicate.predictions.create(
        version=VERSION, input={"prompt": "slow 60", "duration": 30}
    )
    while prediction.status == "starting":
        time.sleep(0.05)
        prediction = replicate.predictions.get(prediction_id=prediction.id)
    seen = prediction.status
    prediction = replicate.predictions.cancel(prediction_id=prediction.id)
    return {"seen": seen, "last": prediction.status, "output": prediction.output}


def errors():
    def status(call):
        try:
            call()
        except APIStatusError as error:
            return [error.status_code, error.body["detail"]]
        except ModelError as error:
            return [error.prediction.status, str(error)]

    create, stranger = replicate.predictions.create, Replicate(bearer_token="wrong")
    return {
        "failure": status(lambda: replicate.run(MODEL, input=FAIL)),
        "input": status(lambda: create(version=VERSION, input={"duration": "long"})),
        "version": status(lambda: create(version="f" * 64, input=MUSIC)),
        "token": status(lambda: stranger.run(MODEL, input=MUSIC)),
        "id": status(lambda: replicate.predictions.get(prediction_id="nobody")),
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
        "address": back(replicate.files.create(content=song).urls.get),
        "base64": back(song, file_encoding_strategy="base64"),
    }


def files():
    song = Path("pièce.wav")
    file = replicate.files.create(
        content=song, filename=song.name, type="audio/x-wav", metadata={"take": {"of": "7"}}
    )
    known = replicate.files.get(file_id=file.id)
    listed = [each.id for each in replicate.files.list()]
    data = replicate.files.download(file_id=file.id, owner="me", expiry=2**31, signature="none")
    same = data.read() == song.read_bytes()
    replicate.files.delete(file_id=file.id)
    try:
        replicate.files.get(file_id=file.id)
    except APIStatusError as error:
        gone = error.status_code
    return {
        "name": known.name,
        "type": known.content_type,
        "size": known.size,
        "metadata": known.metadata,
        "listed": file.id in listed,
        "downloaded": same,
        "gone": gone,
    }


def stream():
    musicgen = replicate.use(MODEL, streaming=True)
    address = "".join(musicgen(prompt="slow 0.5, happy rock with drums", duration=1))
    return {"kind": type(address).__name__, "url": address}


def models():
    model = replicate.models.get(model_owner="meta", model_name="musicgen")
    versions = replicate.models.versions.list(model_owner="meta", model_name="musicgen")
    version = replicate.models.versions.get(
        model_owner="meta", model_name="musicgen", version_id=VERSION
    )
    return {
        "name": f"{model.owner}/{model.name}",
        "latest": model.latest_version.id,
        "versions": [each.id for each in versions],
        "inputs": list(version.openapi_schema["components"]["schemas"]["Input"]["properties"]),
        "listed": [f"{each.owner}/{each.name}" for each in replicate.models.list()],
        "found": [
            f"{each.owner}/{each.name}" for each in replicate.models.search(body="meta/music")
        ],
    }


def pages():
    first = replicate.predictions.list()
    return {
        "pages": len(list(first.iter_pages())),
        "ids": [each.id for each in replicate.predictions.list()],
    }


def account():
    return {
        "username": replicate.account.get().username,
        "hardware": [each.sku for each in replicate.hardware.list()],
        "lists": [
            len(list(replicate.collections.list())),
            len(list(replicate.deployments.list())),
            len(list(replicate.trainings.list())),
        ],
        "secret": replicate.webhooks.default.secret.get().key,
    }


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]]()))
