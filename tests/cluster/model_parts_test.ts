/** @module Whole models in a bucket of small values. */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { NatsConnectionImpl } from "@nats-io/nats-core/internal";
import { systemClock } from "../../src/clock.ts";
import { openConfigBucket } from "../../src/cluster/config_bucket.ts";
import {
  getModel,
  listModels,
  type Manifest,
  manifestOf,
  type ModelStore,
  putModel,
  sweepModels,
} from "../../src/cluster/model_parts.ts";
import { useDenoTransport } from "../../src/nats/transport.ts";
import { NatsServer } from "../nats/server.ts";
import { testWith } from "../programs.ts";
import { MemoryBucket } from "./memory_bucket.ts";

const HOUR_MS = 3_600_000;
const { signal } = new AbortController();

Deno.test("a model comes out of its parts as it went in, and several are told apart", async () => {
  const store = inMemory();
  for (const [seq, text] of ["", "pools: []\n", noise(1_000_000)].entries()) {
    const manifest = await put(store, text, seq);
    equal(await read(store, manifest), text);
    deepEqual(await manifestOf(store, manifest.digest), manifest);
    equal(manifest.size, text.length);
    equal(manifest.parts.length > 1, text.length > 1000);
  }
  const { manifests, faults } = await listModels(store);
  deepEqual([manifests.map(({ stamp }) => stamp), faults], [[2, 1, 0], []]);
});

Deno.test("however it is cut on its way in, a model is the same", async () => {
  const store = inMemory();
  const text = noise(300_000);
  const bytes = new TextEncoder().encode(text);
  const chunks = [
    bytes.subarray(0, 1),
    bytes.subarray(1, 1),
    bytes.subarray(1, 200_000),
    bytes.subarray(200_000),
  ];
  const manifest = await putModel(store, { body: chunks, about: about(1), signal });
  equal(manifest.digest, (await put(store, text, 1)).digest);
  equal(await read(store, manifest), text);
});

Deno.test("what is wrong with a model's parts is named", async () => {
  const faults: readonly [RegExp, (bucket: MemoryBucket, manifest: Manifest, other: Manifest) => void][] = [
    [/^Part 2 of 3 of the model [0-9a-f]{12} is missing$/, ({ entries }, { set }) => {
      entries.delete(`part.${set}.1`);
    }],
    [
      /^Part 3 of 3 of the model [0-9a-f]{12} isn't the one that its manifest names$/,
      (bucket, own, other) => {
        bucket.entries.set(`part.${own.set}.2`, bucket.entries.get(`part.${other.set}.2`)!);
      },
    ],
    [/^Part 1 of 3/, ({ entries }, { set }) => entries.get(`part.${set}.0`)!.value[77]! ^= 1],
    [/isn't JSON/, (bucket, { digest }) => rewrite(bucket, digest, () => "{")],
    [/ is a manifest of version 99, and this node reads 1$/, (bucket, { digest }) => {
      rewrite(bucket, digest, (text) => text.replace('"v":1', '"v":99'));
    }],
    [/of version undefined/, (bucket, { digest }) => rewrite(bucket, digest, () => "[]")],
    [/no manifest: size: /, (bucket, { digest }) => {
      rewrite(bucket, digest, (text) => text.replace(/"size":\d+/, '"size":1e300'));
    }],
    [/is the manifest of another model/, (bucket, { digest }, other) => {
      rewrite(bucket, digest, () => textAt(bucket, other.digest));
    }],
    [/are not the 5 bytes that its manifest names/, (bucket, { digest }) => {
      rewrite(bucket, digest, (text) => text.replace(/"size":\d+/, '"size":5'));
    }],
    [/are not the \d+ bytes/, (bucket, { digest }, other) => {
      // The parts of one under the name of another.
      rewrite(bucket, digest, () => textAt(bucket, other.digest).replace(other.digest, digest));
    }],
  ];
  for (const [message, damage] of faults) {
    const store = inMemory();
    const manifest = await put(store, noise(1_000_000), 1);
    const other = await put(store, noise(1_000_001), 2);
    damage(store.bucket, manifest, other);
    await rejects(async () => await read(store, (await manifestOf(store, manifest.digest))!), { message });
  }
});

Deno.test("parts that aren't compressed, or are far more than they say, are refused", async () => {
  const store = inMemory();
  const bomb = await put(store, "x".repeat(40_000_000), 1);
  rewrite(store.bucket, bomb.digest, (text) => text.replace(/"size":\d+/, '"size":1000'));
  let read = 0;
  await rejects(async () => {
    const manifest = (await manifestOf(store, bomb.digest))!;
    for await (const chunk of getModel(store, { manifest, signal })) read += chunk.length;
  }, { message: /are not the 1000 bytes/ });
  ok(read <= 1000, `${read}`);
  const plain = new TextEncoder().encode("pools: []\n");
  const manifest = { ...bomb, parts: [new Uint8Array(await crypto.subtle.digest("SHA-256", plain)).toHex()] };
  await store.bucket.put(`part.${bomb.set}.0`, plain);
  await rejects(async () => {
    for await (const _ of getModel(store, { manifest, signal }));
  }, { message: /aren't compressed as gzip does it/ });
});

Deno.test("a writing that fails leaves nothing, and one that was cut off is swept when it is old", async () => {
  const store = inMemory();
  await rejects(
    putModel(store, {
      body: (function* () {
        yield new TextEncoder().encode(noise(1_000_000));
        throw new Error("the database is gone");
      })(),
      about: about(1),
      signal,
    }),
    { message: "the database is gone" },
  );
  equal(store.bucket.entries.size, 0);
  const cutOff = await put(store, noise(400_000), 1);
  store.bucket.entries.delete(`model.${cutOff.digest}`);
  store.bucket.nowMs += HOUR_MS;
  await put(store, noise(400_001), 2);
  deepEqual(await sweepModels(store, { keep: 2, named: new Set() }), []);
  store.bucket.nowMs += 1;
  const last = await put(store, noise(400_002), 3);
  deepEqual(await sweepModels(store, { keep: 2, named: new Set() }), [`part.${cutOff.set}.*`]);
  equal(await read(store, last), noise(400_002));
});

Deno.test("of models the newest stay, and those that something refers to", async () => {
  const store = inMemory();
  const all: Manifest[] = [];
  for (let seq = 1; seq <= 5; seq++) all.push(await put(store, noise(300_000 + seq), seq));
  await sweepModels(store, { keep: 2, named: new Set([all[0]!.digest]) });
  const { manifests } = await listModels(store);
  deepEqual(manifests.map(({ stamp }) => stamp), [5, 4, 1]);
  for (const manifest of manifests) ok((await read(store, manifest)).length > 0);
  equal((await store.bucket.keys("part.>")).length, manifests.flatMap(({ parts }) => parts).length);
  // A later version's may name any of them.
  rewrite(store.bucket, all[4]!.digest, (text) => text.replace('"v":1', '"v":99'));
  deepEqual(await sweepModels(store, { keep: 0, named: new Set() }), []);
  equal((await listModels(store)).faults.length, 1);
});

testWith(
  ["nats-server"],
  "a model many times as large as a message goes through a server as servers come",
  async () => {
    await using server = await NatsServer.start();
    useDenoTransport();
    const connection = await NatsConnectionImpl.connect({ servers: [server.url] });
    try {
      const needs = { clock: systemClock, signal: new AbortController().signal };
      const bucket = await openConfigBucket(connection, { bucket: "gslb_test_config", domain: null }, needs);
      const store: ModelStore = { bucket, signing: null, clock: systemClock };
      deepEqual((await listModels(store)).manifests, []);
      const text = noise(12_000_000);
      const manifest = await put(store, text, 1);
      ok(manifest.parts.length > 16, `${manifest.parts.length} parts`);
      equal(await read(store, (await listModels(store)).manifests[0]!), text);
      const later = await put(store, "later", 2);
      await sweepModels(store, { keep: 1, named: new Set() });
      deepEqual((await listModels(store)).manifests, [later]);
      equal((await bucket.keys(">")).length, 2);
      equal(await bucket.get("model"), null);
    } finally {
      await connection.close();
    }
  },
);

interface InMemory extends ModelStore {
  readonly bucket: MemoryBucket;
}

function inMemory(): InMemory {
  return { bucket: new MemoryBucket(), signing: null, clock: systemClock };
}

function about(stamp: number) {
  return { stamp, type: "application/yaml", counts: { pools: 1 } } as const;
}

async function put(store: ModelStore, text: string, stamp: number): Promise<Manifest> {
  return await putModel(store, { body: [new TextEncoder().encode(text)], about: about(stamp), signal });
}

async function read(store: ModelStore, manifest: Manifest): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of getModel(store, { manifest, signal })) {
    text += decoder.decode(chunk, { stream: true });
  }
  return text;
}

/** Text that compresses to half. */
function noise(length: number): string {
  const bytes = new Uint8Array(Math.ceil(length / 2));
  let state = length;
  for (let i = 0; i < bytes.length; i++) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + i | 0;
    bytes[i] = state >>> 11;
  }
  return bytes.toHex().slice(0, length);
}

function rewrite(bucket: MemoryBucket, digest: string, change: (text: string) => string): void {
  const entry = bucket.entries.get(`model.${digest}`)!;
  const value = new TextEncoder().encode(change(textAt(bucket, digest)));
  bucket.entries.set(`model.${digest}`, { ...entry, value });
}

function textAt({ entries }: MemoryBucket, digest: string): string {
  return new TextDecoder().decode(entries.get(`model.${digest}`)!.value);
}
