// What users of the JavaScript client write. Usage: node js.mjs SCENARIO
// Prints what came of it as JSON; audio is read from and written to the current folder.

import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import Replicate, { parseProgressFromLogs, validateWebhook } from "replicate";

const VERSION = "7a76a8258b23fae65c5a22debb8841d1d7e816b75c2f24218cd2bd8573787906";
const MODEL = `meta/musicgen:${VERSION}`;
const MUSIC = { prompt: "happy rock", duration: 1 };
const FAIL = JSON.parse(process.env.FAIL ?? '{"prompt": "fail"}'); // what the server cannot do

const baseUrl = process.env.REPLICATE_BASE_URL;
const replicate = new Replicate({ baseUrl });

async function run() {
  const byVersion = await replicate.run(MODEL, { input: MUSIC });
  const byName = await replicate.run("facebookresearch/musicgen", { input: MUSIC });
  const polled = await replicate.run(MODEL, { input: MUSIC, wait: { mode: "poll" } });
  const blob = await byName.blob();
  return {
    version: await saved("version", byVersion, byVersion),
    name: await saved("name", Buffer.from(await blob.arrayBuffer()), byName),
    polled: { kind: polled.constructor.name, url: `${polled}` },
  };
}

async function saved(name, audio, output) {
  await writeFile(`${name}.wav`, audio);
  return { kind: output.constructor.name, url: output.url().href.slice(0, 40) };
}

async function variations() {
  const input = { ...MUSIC, seed: 7, count: 2 };
  const outputs = await replicate.run("toccata/musicgen", { input });
  return Promise.all(outputs.map((one, i) => saved(`variation-${i}`, one, one)));
}

async function seeded() {
  const made = {};
  for (const [name, seed] of Object.entries({ first: 7, again: 7, other: 8 })) {
    const output = await replicate.run(MODEL, { input: { ...MUSIC, seed } });
    made[name] = await saved(name, output, output);
  }
  return made;
}

async function carry_on() {
  await writeFile("begun.wav", await replicate.run(MODEL, { input: MUSIC }));
  const input_audio = await readFile("begun.wav");
  const input = { ...MUSIC, input_audio, continuation: true };
  const output = await replicate.run(MODEL, { input });
  return saved("song", output, output);
}

async function patience() {
  const input = { prompt: "slow 1.5", duration: 1 };
  const output = await replicate.run(MODEL, { input, wait: { mode: "block", timeout: 1 } });
  return saved("song", output, output);
}

async function by_hand() {
  const created = await replicate.predictions.create({ version: VERSION, input: MUSIC });
  const prediction = await replicate.wait(created);
  const { status, output, logs, metrics } = await replicate.predictions.get(prediction.id);
  return {
    first: created.status,
    last: status,
    url: output,
    logs,
    metrics: Object.keys(metrics).sort(),
  };
}

async function cancel() {
  const input = { prompt: "slow 60", duration: 30 };
  let prediction = await replicate.predictions.create({ version: VERSION, input });
  while (prediction.status === "starting") {
    await sleep(50);
    prediction = await replicate.predictions.get(prediction.id);
  }
  const seen = prediction.status;
  const { status, output } = await replicate.predictions.cancel(prediction.id);
  return { seen, last: status, output };
}

async function abort() {
  const seen = [];
  const controller = new AbortController();
  const output = await replicate.run(
    MODEL,
    { input: { prompt: "slow 60" }, wait: { mode: "poll" }, signal: controller.signal },
    ({ status }) => {
      seen.push(status);
      if (status === "processing") controller.abort();
    },
  );
  return { last: seen.at(-1), output };
}

async function errors() {
  const status = async (call) => {
    try {
      await call();
    } catch (error) {
      return [error.response?.status ?? "failed", error.message];
    }
  };
  const create = (options) => () => replicate.predictions.create(options);
  const stranger = new Replicate({ baseUrl, auth: "wrong" });
  return {
    failure: await status(() => replicate.run(MODEL, { input: FAIL })),
    input: await status(create({ version: VERSION, input: { duration: "long" } })),
    version: await status(create({ version: "f".repeat(64), input: MUSIC })),
    token: await status(() => stranger.run(MODEL, { input: MUSIC })),
    id: await status(() => replicate.predictions.get("nobody")),
  };
}

async function upload() {
  const song = await readFile("pièce.wav");
  const back = async (input_audio, client = replicate) => {
    const input = { model_version: "encode-decode", input_audio };
    const output = await client.run(MODEL, { input });
    return Buffer.compare(song, Buffer.from(await (await output.blob()).arrayBuffer())) === 0;
  };
  const upload = await replicate.files.create(song);
  // A network in which uploads get stuck: the client then sends a data URI.
  const stuck = async (url, options) => {
    if (`${url}`.endsWith("/files")) throw new TypeError("fetch failed");
    return fetch(url, options);
  };
  return {
    buffer: await back(song),
    blob: await back(new Blob([song], { type: "audio/wav" })),
    file: await back(new File([song], "pièce.wav", { type: "audio/wav" })),
    address: await back(upload.urls.get),
    base64: await back(new Blob([song]), new Replicate({ baseUrl, fetch: stuck })),
  };
}

async function data_uri() {
  const careless = new Replicate({ baseUrl, fileEncodingStrategy: "data-uri" });
  return await careless.predictions.create({ version: VERSION, input: MUSIC });
}

async function files() {
  const song = await readFile("pièce.wav");
  const content = new File([song], "pièce.wav", { type: "audio/x-wav" });
  const file = await replicate.files.create(content, { take: { of: "7" } });
  const { name, content_type, size, metadata } = await replicate.files.get(file.id);
  const { results } = await replicate.files.list();
  const deleted = await replicate.files.delete(file.id);
  let gone;
  try {
    await replicate.files.get(file.id);
  } catch (error) {
    gone = error.response.status;
  }
  const listed = results.some((each) => each.id === file.id);
  return { name, type: content_type, size, metadata, listed, deleted, gone };
}

async function stream() {
  const names = [];
  let output, failure;
  const input = { prompt: "slow 1, happy rock with drums", duration: 1 };
  for await (const event of replicate.stream(MODEL, { input })) {
    names.push(event.event);
    if (event.event === "output") output = event.data;
  }
  try {
    for await (const _ of replicate.stream(MODEL, { input: FAIL }));
  } catch (error) {
    failure = error.message;
  }
  await writeFile("song.wav", output);
  return { names, kind: output.constructor.name, url: `${output}`, failure };
}

async function progress() {
  const seen = [];
  let last;
  const input = { prompt: "slow 0.6" };
  await replicate.run(MODEL, { input, wait: { mode: "poll", interval: 50 } }, (prediction) => {
    last = parseProgressFromLogs(prediction) ?? last;
    if (last && !seen.includes(last.current)) seen.push(last.current);
  });
  return { seen, total: last.total, last: last.percentage };
}

async function models() {
  const model = await replicate.models.get("meta", "musicgen");
  const versions = await replicate.models.versions.list("meta", "musicgen");
  const version = await replicate.models.versions.get("meta", "musicgen", VERSION);
  const names = ({ results }) => results.map(({ owner, name }) => `${owner}/${name}`);
  return {
    name: `${model.owner}/${model.name}`,
    latest: model.latest_version.id,
    versions: versions.results.map(({ id }) => id),
    inputs: Object.keys(version.openapi_schema.components.schemas.Input.properties),
    listed: names(await replicate.models.list()),
    found: names(await replicate.models.search("meta/music")),
  };
}

async function pages() {
  const found = [];
  for await (const page of replicate.paginate(replicate.predictions.list)) found.push(page);
  return { pages: found.length, ids: found.flat().map(({ id }) => id) };
}

async function account() {
  const lists = [replicate.collections, replicate.deployments, replicate.trainings];
  return {
    username: (await replicate.accounts.current()).username,
    hardware: (await replicate.hardware.list()).map(({ sku }) => sku),
    lists: await Promise.all(lists.map(async (each) => (await each.list()).results.length)),
    secret: (await replicate.webhooks.default.secret.get()).key,
  };
}

async function webhook() {
  let arrive;
  const arrival = new Promise((resolve) => { arrive = resolve; });
  const server = createServer(async (request, response) => {
    arrive({ headers: request.headers, body: await text(request) });
    response.end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const prediction = await replicate.predictions.create({
    version: VERSION,
    input: MUSIC,
    webhook: `http://127.0.0.1:${server.address().port}/`,
    webhook_events_filter: ["completed"],
  });
  const { headers, body } = await arrival;
  server.close();
  const { key } = await replicate.webhooks.default.secret.get();
  const told = JSON.parse(body);
  return {
    status: told.status,
    same: told.id === prediction.id,
    valid: await validateWebhook({ headers, body }, key),
    forged: await validateWebhook({ headers, body: `${body} ` }, key),
  };
}

const scenarios = {
  run, variations, seeded, carry_on, patience, by_hand, cancel, abort, errors, upload, data_uri,
  files, stream, progress, models, pages, account, webhook,
};
console.log(JSON.stringify(await scenarios[process.argv[2]]()));
