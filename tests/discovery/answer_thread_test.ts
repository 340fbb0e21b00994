/**
 * Answering on a thread of its own: changes come before what is asked behind them, and a thread that dies is replaced.
 *
 * @module
 */
import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { systemClock } from "../../src/clock.ts";
import { AnswerThread } from "../../src/discovery/answer_thread.ts";
import { Catalog, type Change } from "../../src/discovery/catalog.ts";
import type { SocketAddress } from "../../src/ip.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import type { SampledExchange } from "../../src/discovery/sampler.ts";
import { until } from "../consul/server.ts";
import { StartedThreads } from "../started_threads.ts";
import { ask, brief, ZONE } from "./world.ts";
import { decodeMessage } from "../../src/wire/message.ts";
import { rcodeName } from "../../src/wire/record_type.ts";

const ADDRESS = { service: "http", job: "web", env: "prod", product: "shop", zone: "gg" };
const NAME = `http.web.prod.shop.gg.${ZONE}`;

function put(id: string, ip: string): Change {
  const instance = {
    id,
    provider: "p",
    address: ADDRESS,
    node: id,
    ips: [ip],
    port: 80,
    priority: 0,
    weight: 0,
  };
  return { kind: "put", zone: "gg", instances: [instance] };
}

interface Heard {
  readonly lines: string[];
  readonly exchanges: SampledExchange[];
}

function start(
  address: SocketAddress,
  catalog: Catalog,
  { lines, exchanges }: Heard = { lines: [], exchanges: [] },
): AnswerThread {
  const log = createLogger({
    ...{ level: "debug", format: "json", clock: systemClock },
    write: (line) => lines.push(line),
  });
  return new AnswerThread({
    options: {
      ...{ address, dnsZones: [ZONE], maxAnswers: 43, handedOn: new Map() },
      sampling: { every: 1, perSecond: 1_000 },
    },
    everything: () => catalog.everything(),
    count: () => {},
    sampled: (sampled) => void exchanges.push(...sampled.exchanges),
    clock: { sleep: () => Promise.resolve() },
    log,
  });
}

Deno.test("what is settled is in the answers, also of the thread that takes the place of one that died", async () => {
  using started = new StartedThreads();
  const catalog = new Catalog();
  const heard: Heard = { lines: [], exchanges: [] };
  const { lines, exchanges } = heard;
  const write = (change: Change) => catalog.apply(change);
  write({ kind: "standing", zone: "gg", standing: "fresh" });
  await using thread = start({ hostname: "127.0.0.1", port: 0 }, catalog, heard);
  await thread.ready;
  const { address } = thread;
  equal(brief(await ask(address, NAME, "A")), "NXDOMAIN|aa");
  for (let i = 1; i <= 20; i++) {
    const change = put("a", `192.0.2.${i}`);
    write(change);
    thread.apply([change]);
    await thread.settled();
    equal(brief(await ask(address, NAME, "A")), `NOERROR|aa|5 192.0.2.${i}`);
  }
  await until(() => exchanges.length, (count) => count >= 21);
  const [{ transport, client, query, answer }] = exchanges as [SampledExchange];
  deepEqual([transport, client], ["udp", "127.0.0.1"]);
  deepEqual(query.subarray(0, 2), answer.subarray(0, 2));
  equal(decodeMessage(query).questions[0]!.name, NAME);
  equal(rcodeName(decodeMessage(answer).rcode), "NXDOMAIN");

  started.kill(0);
  const change = put("b", "192.0.2.99");
  write(change);
  thread.apply([change]);
  await until(
    () => lines.filter((line) => line.includes("Discovery answers DNS")).length,
    (count) => count === 2,
  );
  equal(thread.address.port, address.port);
  equal(brief(await ask(address, NAME, "A", { tcp: true })), "NOERROR|aa|5 192.0.2.20|5 192.0.2.99");
  match(lines.join("\n"), /died; another one takes its place.*on purpose/);
  const isOverTcp = ({ transport, client }: SampledExchange) => transport === "tcp" && client === "127.0.0.1";
  await until(() => exchanges.some(isOverTcp), (isThere) => isThere);
});

Deno.test("an address that is taken is said, and nothing is left behind", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using thread = start({ hostname: "127.0.0.1", port: taken.addr.port }, new Catalog());
  await rejects(thread.ready, /discovery\.dnsAddr/);
});
