/** @module The cluster's model as one document: published, watched, and taken over by nodes. */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { jetstream } from "@nats-io/jetstream";
import { headers as messageHeaders, type NatsConnection } from "@nats-io/nats-core";
import { NatsConnectionImpl } from "@nats-io/nats-core/internal";
import { systemClock } from "../../src/clock.ts";
import { openConfigBucket } from "../../src/cluster/config_bucket.ts";
import { type ClusterEvent, WAITING_MAX, watchCluster } from "../../src/cluster/document_watch.ts";
import {
  type ClusterDocument,
  type DocumentPlace,
  ensureConfigStream,
  publishCluster,
  snapshotCluster,
} from "../../src/cluster/documents.ts";
import { newKeyPair, openSigning, type Signing } from "../../src/cluster/signing.ts";
import { useDenoTransport } from "../../src/nats/transport.ts";
import { NatsServer } from "../nats/server.ts";
import { testWith } from "../programs.ts";
import { MemoryBucket } from "./memory_bucket.ts";
import { until } from "./nodes.ts";

const { signal } = new AbortController();
const YAML = "application/yaml";

Deno.test("a document is what was published, with its version and commit", async () => {
  const place = inMemory();
  equal(await snapshotCluster(place), null);
  await publish(place, "pools: []\n", { version: "7", commit: "a1b2" });
  const document = (await snapshotCluster(place))!;
  deepEqual([document.version, document.commit, document.type], ["7", "a1b2", YAML]);
  equal(await textOf(document), "pools: []\n");
  deepEqual(place.announced.map(({ headers }) => headers["Pleiades-Version"]), ["7"]);
  equal(new TextDecoder().decode(place.bucket.entries.get("model")!.value), "pools: []\n");
});

Deno.test("a larger document is compressed, and a still larger one goes in parts", async () => {
  const place = inMemory(64 * 1024);
  const sizes = { plain: 60_000, packed: 1_000_000, parts: 12_000_000 };
  for (const [kind, size] of Object.entries(sizes)) {
    const text = `# ${kind}\n`.padEnd(size, "pools: [] # x\n");
    await publish(place, kind === "parts" ? text + noise(200_000) : text);
    const entry = place.bucket.entries.get("model")!;
    equal(entry.headers["Content-Encoding"], kind === "packed" ? "gzip" : undefined);
    equal(entry.headers["Pleiades-Model"] !== undefined, kind === "parts");
    ok(entry.value.length <= 64 * 1024);
    const document = (await snapshotCluster(place))!;
    ok((await textOf(document)).startsWith(`# ${kind}\n`));
  }
});

Deno.test("what a publisher calls a document is a short word", async () => {
  for (const version of ["a\nb", "ä", "x".repeat(129), "a b"]) {
    await rejects(publish(inMemory(), "pools: []\n", { version }), { message: /printable ASCII/ });
  }
});

Deno.test("a publisher whose clock is behind publishes something later all the same", async () => {
  const place = inMemory();
  await publish(place, "a: 1\n");
  const first = (await snapshotCluster(place))!;
  place.nowMs -= 3_600_000;
  await publish(place, "a: 2\n");
  equal((await snapshotCluster(place))!.publishedMs, first.publishedMs + 1);
});

Deno.test("a document that another program wrote without headers is YAML of the server's date", async () => {
  const place = inMemory();
  await place.bucket.put("model", new TextEncoder().encode("pools: []\n"));
  const document = (await snapshotCluster(place))!;
  deepEqual([document.type, document.version, document.publishedMs], [YAML, "", place.bucket.nowMs]);
  await place.bucket.put("model", new Uint8Array(0), { "Content-Encoding": "br" });
  await rejects(snapshotCluster(place), { message: 'The document is encoded as "br", and gzip can be read' });
  await place.bucket.put("model", new Uint8Array(0), { "Pleiades-Model": "../x" });
  const document2 = (await snapshotCluster(place))!;
  await rejects(textOf(document2), { message: "The document's model in parts is missing" });
});

Deno.test("where documents are signed, no other is believed, and none under another header", async () => {
  const { privateKey, publicKey } = await newKeyPair();
  const author = inMemory(1 << 20, await openSigning({ cluster: "c", key: privateKey, keys: [] }));
  const reader: DocumentPlace = {
    ...author,
    signing: await openSigning({ cluster: "c", key: null, keys: [publicKey] }),
  };
  await publish(author, "pools: []\n", { version: "7" });
  equal(await textOf((await snapshotCluster(reader))!), "pools: []\n");
  const signed = author.bucket.entries.get("model")!;
  for (const name of ["Pleiades-Published", "Pleiades-Version", "Content-Type", "Pleiades-Commit"]) {
    author.bucket.entries.set("model", { ...signed, headers: { ...signed.headers, [name]: "9" } });
    await rejects(snapshotCluster(reader), { message: /isn't believed: its signature doesn't match/ });
  }
  author.bucket.entries.set("model", { ...signed, headers: {} });
  await rejects(snapshotCluster(reader), { message: /it isn't signed/, refused: "unsigned" });
  // In parts, the manifest is signed, and names each part by its digest.
  const large = inMemory(64 * 1024, author.signing);
  await publish(large, noise(9_000_000));
  const inParts = { ...large, signing: reader.signing };
  equal((await textOf((await snapshotCluster(inParts))!)).length, 9_000_000);
  const [key] = await large.bucket.keys("model.*");
  large.bucket.entries.set(key!, { ...large.bucket.entries.get(key!)!, headers: {} });
  const document = (await snapshotCluster(inParts))!;
  await rejects(textOf(document), { message: /^model\.[0-9a-f]{64} isn't believed: it isn't signed$/ });
});

Deno.test("a watch tells what there is, then that this was all, then what changes", async () => {
  const place = inMemory();
  await publish(place, "a: 1\n", { version: "1" });
  const watch = watched(place);
  equal(versionOf((await watch.next()).value), "1");
  equal((await watch.next()).value, null);
  await publish(place, "a: 2\n", { version: "2" });
  watch.hint();
  equal(versionOf((await watch.next()).value), "2");
  await place.bucket.remove("model");
  watch.hint();
  deepEqual((await watch.next()).value, { type: "delete" });
  await watch.end();
});

Deno.test("a watch of nothing begins with the marker", async () => {
  const watch = watched(inMemory());
  equal((await watch.next()).value, null);
  await watch.end();
});

Deno.test("a slow reader of a watch holds nothing up, and gets the newest", async () => {
  const place = inMemory();
  const watch = watched(place);
  // It reads as long as it is asked for the first event, and looks again at each hint.
  equal((await watch.next()).value, null);
  for (let version = 1; version <= WAITING_MAX + 10; version++) {
    const before = place.looks;
    await publish(place, `a: ${version}\n`, { version: String(version) });
    watch.hint();
    await until(() => place.looks, (looks) => looks > before);
  }
  const told: string[] = [];
  while (told.at(-1) !== String(WAITING_MAX + 10)) told.push(versionOf((await watch.next()).value)!);
  ok(told.length <= WAITING_MAX + 1, `${told.length}`);
  await watch.end();
});

testWith(["nats-server"], "documents go through a real server: key, then stream, with headers", async () => {
  await using server = await NatsServer.start();
  useDenoTransport();
  const connection = await NatsConnectionImpl.connect({ servers: [server.url] });
  try {
    const place = await placeOf(connection);
    equal(await snapshotCluster(place), null);
    await publish(place, "pools: []\n", { version: "7", commit: "a1b2" });
    equal(await textOf((await snapshotCluster(place))!), "pools: []\n");
    const manager = await jetstream(connection).jetstreamManager();
    const message = (await manager.streams.getMessage("GSLB_TEST_CONFIG", { seq: 1 }))!;
    deepEqual(
      ["Pleiades-Version", "Pleiades-Commit", "Content-Type"].map((name) => message.header.get(name)),
      ["7", "a1b2", YAML],
    );
    equal(message.string(), "pools: []\n");
    // Another program, by the key-value store's own means.
    const headers = messageHeaders();
    headers.set("Pleiades-Version", "8");
    await jetstream(connection).publish("$KV.gslb_test_config.model", "services: []\n", { headers });
    const document = (await snapshotCluster(place))!;
    deepEqual([document.version, await textOf(document)], ["8", "services: []\n"]);
    // More than a message may have.
    const large = noise(9_000_000);
    await publish(place, large);
    equal(await textOf((await snapshotCluster(place))!), large);
    headers.set("KV-Operation", "DEL");
    await jetstream(connection).publish("$KV.gslb_test_config.model", "", { headers });
    equal(await snapshotCluster(place), null);
    match(await place.bucket.edition(), /^\d{4}-/);
  } finally {
    await connection.close();
  }
});

interface InMemory extends DocumentPlace {
  readonly bucket: MemoryBucket;
  readonly announced: { readonly headers: Readonly<Record<string, string>> }[];
  nowMs: number;
  /** How often the document was looked at. */
  readonly looks: number;
}

function inMemory(valueSizeMax = 1 << 20, signing: Signing | null = null): InMemory {
  let looks = 0;
  const bucket = new MemoryBucket(valueSizeMax);
  const edition = bucket.edition.bind(bucket);
  bucket.edition = () => {
    looks++;
    return edition();
  };
  const announced: { headers: Readonly<Record<string, string>> }[] = [];
  return {
    ...{ bucket, signing, announced, clock: systemClock, nowMs: 1_800_000_000_000 },
    get looks() {
      return looks;
    },
    announce(_value, headers) {
      announced.push({ headers });
      return Promise.resolve();
    },
    unixMs() {
      return this.nowMs;
    },
  };
}

async function placeOf(connection: NatsConnection): Promise<DocumentPlace> {
  const domain = null;
  const needs = { clock: systemClock, signal: new AbortController().signal };
  return {
    bucket: await openConfigBucket(connection, { bucket: "gslb_test_config", domain }, needs),
    announce: await ensureConfigStream(connection, {
      ...{ stream: "GSLB_TEST_CONFIG", subject: "gslb.test.config", domain },
    }),
    ...{ signing: null, clock: systemClock, unixMs: () => Date.now() },
  };
}

async function publish(
  place: DocumentPlace,
  text: string,
  { version = "", commit = "" } = {},
): Promise<ClusterDocument> {
  const body = [new TextEncoder().encode(text)];
  return await publishCluster(place, { body, type: YAML, version, commit, signal });
}

async function textOf(document: ClusterDocument): Promise<string> {
  return await new Response(ReadableStream.from(document.body(signal))).text();
}

function watched(place: DocumentPlace) {
  const ending = new AbortController();
  let hint = () => {};
  const hints = {
    subscribe: (listener: () => void) => {
      hint = listener;
      return { [Symbol.dispose]: () => {} };
    },
  };
  const events = watchCluster(place, { hints, lookMs: 60_000, clock: systemClock, signal: ending.signal });
  return {
    next: () => events.next(),
    hint: () => hint(),
    end: async () => {
      await events.return();
      ending.abort();
    },
  };
}

function versionOf(event: ClusterEvent | null | void): string | null {
  return event && event.type === "put" ? event.document.version : null;
}

function noise(length: number): string {
  const bytes = new Uint8Array(Math.ceil(length / 2));
  for (let i = 0, state = length; i < bytes.length; i++) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + i | 0;
    bytes[i] = state >>> 11;
  }
  return bytes.toHex().slice(0, length);
}
