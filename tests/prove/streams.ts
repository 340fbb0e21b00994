/**
 * `deno task prove streams [--connections N] [--transport linux|portable|both] [--seed N]`: a million connections to
 * the ports of TCP, TLS and HTTPS of a real `serve` process, each of which does something else: every split, half-closes,
 * resets, garbage, responses, the lengths 0 and 65,535, pipelining, half a handshake, what is spoken elsewhere, requests
 * over HTTPS that carry no DNS, slow clients, and clients that never read.
 *
 * Every answer that is due must come, and be right. Meanwhile an ordinary client asks over UDP, and each of its queries
 * must be answered. In the end the process has as many descriptors as in the beginning, its memory is flat, no worker
 * was replaced, and it has said nothing that is an error.
 *
 * Why a million: with n connections without a fault, faults that come in one of n/3 are ruled out with 95 % (rule of
 * three). A connection is one of twenty-two kinds, and a kind has at most some hundred places to be split at; so each place is
 * met about five hundred times, in the company of others. Threads that see each other too early or too late need that.
 *
 * @module
 */
import type { SocketAddress } from "../../src/ip.ts";
import { Mutator } from "../dns/mutate.ts";
import { framed } from "../dns/clients.ts";
import { query } from "../dns/packets.ts";
import { freePort } from "../free_port.ts";
import { selfSigned } from "../health/certificates.ts";
import { EXTENSIONS_MAX, type Flatness, ResidentMemory, SAMPLES } from "../resident_memory.ts";
import { FuzzedNode, type Transport } from "./fuzz/node.ts";
import { ATTACKS } from "./streams/attacks.ts";
import { ENCRYPTED_ATTACKS, type Ports } from "./streams/encrypted_attacks.ts";
import { IDLE_MS } from "./streams/client.ts";
import { askOnAndOn, type Patience } from "./streams/patience.ts";
import { within } from "./streams/within.ts";

/** What a run is given. */
export interface StreamsOptions {
  readonly seed: number;
  readonly connections: number;
  /** How often as many connections again are made while the memory isn't flat. */
  readonly extensions: number;
  /** Told now and then. */
  readonly onProgress: (line: string) => void;
}

/** What came of it. */
export interface StreamsReport {
  /** What went wrong first; `null` = nothing did. */
  readonly fault: string | null;
  readonly memory: Flatness;
  readonly udp: Patience;
}

/** Connections at the same time. */
const TOGETHER = 48;
/** Clients that never read, and clients that never finish their query; a new one comes for each that was closed. */
const NEVER_READ = 4;
const NEVER_FINISH = 4;
/** A connection that takes longer hangs; idle ones are closed by the node long before. */
const HANG_MS = 30_000;
/**
 * Addresses of the node: a pair of addresses has some 28,000 ports to come from, and each rests for a minute after its
 * use.
 */
const ADDRESSES = 200;
/** How long descriptors may take to be closed after the last connection, and how many may come and go by themselves. */
const SETTLE_MS = 20_000;
const DESCRIPTORS_SPARE = 4;

/** Runs the proof. */
export async function prove(args: string[]): Promise<boolean> {
  const seed = Number(valueOf(args, "--seed") ?? crypto.getRandomValues(new Uint32Array(1))[0]!);
  const connections = Number(valueOf(args, "--connections") ?? 1_000_000);
  const wanted = valueOf(args, "--transport") ?? "linux";
  console.log(`${connections} connections, repeated by --seed ${seed}`);
  let good = true;
  for (const transport of ["linux", "portable"] as const) {
    if (wanted !== "both" && wanted !== transport) continue;
    const onProgress = (line: string) => console.log(`${transport}: ${line}`);
    const report = await attackNode(transport, { seed, connections, extensions: EXTENSIONS_MAX, onProgress });
    const { p50, p99, most } = report.udp.times;
    onProgress(report.fault ?? "no fault");
    onProgress(`RSS ${report.memory.text}`);
    onProgress(
      `${report.udp.answers} answers over UDP meanwhile: median ${p50.toFixed(1)} ms, ` +
        `99 % within ${p99.toFixed(1)} ms, longest ${most.toFixed(0)} ms`,
    );
    good &&= report.fault === null && report.memory.isFlat;
  }
  return good;
}

/** Attacks a node of its own. */
export async function attackNode(transport: Transport, options: StreamsOptions): Promise<StreamsReport> {
  await using certificate = await certificateFiles();
  const [tls, https] = [freePort(), freePort()];
  const node = await FuzzedNode.start(transport, {
    dns: "0.0.0.0:0",
    tcp: { maxConnections: 512, maxConnectionsPerClient: 512, idleTimeout: `${IDLE_MS}ms` },
    isMeasured: options.extensions > 0,
    more: { tls: { ...certificate.files, port: tls }, https: { port: https } },
  });
  const memory = new ResidentMemory(node.process.pid);
  const ending = new AbortController();
  const { port } = node.process.dns;
  const ports: Ports = { tcp: port, tls, https, caCerts: [certificate.cert] };
  const asking = askOnAndOn({ hostname: "127.0.0.1", port }, ending.signal);
  const faults: (string | null)[] = [];
  try {
    const before = await descriptorsOf(node.process.pid);
    faults.push(await attackUntilFlat(node, { memory, ports }, options));
    faults.push(await settles(node.process.pid, before));
  } finally {
    ending.abort();
    faults.push((await asking).fault);
    await node[Symbol.asyncDispose]();
  }
  const found = [...faults, node.complaint()].filter((fault) => fault !== null);
  return {
    fault: found.length === 0 ? null : found.join("\n"),
    memory: memory.judge(),
    udp: await asking,
  };
}

async function attackUntilFlat(
  node: FuzzedNode,
  { memory, ports }: { readonly memory: ResidentMemory; readonly ports: Ports },
  { seed, connections, extensions, onProgress }: StreamsOptions,
): Promise<string | null> {
  const mutator = new Mutator(seed);
  const stubborn = new AbortController();
  const { tcp: port } = ports;
  const step = Math.ceil(connections / SAMPLES);
  const startMs = performance.now();
  let made = 0;
  let fault: string | null = null;
  const attackOnAndOn = async (until: number) => {
    while (made < until && fault === null) {
      const number = made++;
      const found = await attackOnce(number, { ports, mutator });
      fault ??= found; // others may have found one meanwhile, which mustn't be forgotten
      if (number % step !== 0) continue;
      await memory.sample();
      fault ??= node.complaint();
      if (number % (step * 20) === 0) {
        onProgress(
          `${number} connections, ${((performance.now() - startMs) / 1000).toFixed(0)} s, RSS ${memory.now}`,
        );
      }
    }
  };
  const holding = [
    ...Array.from({ length: NEVER_READ }, () => NEVER_READ_BYTES),
    ...Array.from({ length: NEVER_FINISH }, () => NEVER_FINISH_BYTES),
  ].map((bytes) => holdOnAndOn({ hostname: "127.0.0.1", port }, bytes, stubborn.signal));
  for (let until = connections, extension = 0;; extension++, until *= 2) {
    await Promise.all(Array.from({ length: TOGETHER }, () => attackOnAndOn(until)));
    if (fault !== null || extension === extensions || memory.judge().isFlat) break;
    onProgress(`RSS ${memory.judge().text}; going on`);
  }
  stubborn.abort();
  const held = await Promise.all(holding);
  return fault ?? held.find((each) => each !== null) ?? null;
}

async function attackOnce(
  number: number,
  { ports, mutator }: { readonly ports: Ports; readonly mutator: Mutator },
): Promise<string | null> {
  const hostname = hostnameOf(number);
  const name = NAMES[mutator.below(NAMES.length)]!;
  const where = `connection ${number} to ${hostname}, ${name}`;
  const made = ATTACKS[name]?.({ server: { hostname, port: ports.tcp }, number, mutator }) ??
    ENCRYPTED_ATTACKS[name]!({ hostname, ports, number, mutator });
  const attack = made.then((fault) => fault && `${where}: ${fault}`, (error) => `${where}: ${error}`);
  return await within(HANG_MS, attack, `${where}: no end within ${HANG_MS / 1000} s`);
}

const NAMES = [...Object.keys(ATTACKS), ...Object.keys(ENCRYPTED_ATTACKS)];

function hostnameOf(number: number): string {
  return `127.0.0.${1 + number % ADDRESSES}`;
}

/** A certificate for all addresses, in files that are gone with their folder. */
async function certificateFiles() {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-streams-" });
  const ipAddresses = Array.from({ length: ADDRESSES }, (_, i) => hostnameOf(i));
  const { cert, key } = await selfSigned({ ipAddresses });
  const files = { certFile: `${folder}/dns.crt`, keyFile: `${folder}/dns.key` };
  await Deno.writeTextFile(files.certFile, cert);
  await Deno.writeTextFile(files.keyFile, key);
  return { cert, files, [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }) };
}

/** More than the kernel takes for a client that doesn't read. */
const NEVER_READ_BYTES = framed(
  ...Array.from({ length: 3_000 }, (_, id) => query("large.example.com", "A", { id })),
);
/** Of a message that goes on. */
const NEVER_FINISH_BYTES = new Uint8Array([0xff, 0xff, 0]);

/** Holds one connection after the other until the node ends it; each must be ended. */
async function holdOnAndOn(
  server: SocketAddress,
  bytes: Uint8Array,
  signal: AbortSignal,
): Promise<string | null> {
  while (!signal.aborted) {
    using socket = await Deno.connect(server);
    const fault = await within(HANG_MS, ended(socket, bytes), `a client was left for ${HANG_MS / 1000} s`);
    if (fault !== null) return fault;
  }
  return null;
}

/** Resolves when the node has closed it, which a client that doesn't read sees when it writes. */
async function ended(socket: Deno.TcpConn, bytes: Uint8Array): Promise<null> {
  try {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await socket.write(rest));
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      await socket.write(new Uint8Array(1));
    }
  } catch {
    return null;
  }
}

/** Whether a process comes back to so many descriptors. */
async function settles(pid: number, before: number): Promise<string | null> {
  const deadlineMs = performance.now() + SETTLE_MS;
  for (;;) {
    const now = await descriptorsOf(pid);
    if (now <= before + DESCRIPTORS_SPARE) return null;
    if (performance.now() > deadlineMs) return `it has ${now} descriptors, and had ${before}`;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

/** How many descriptors a process has; 0 = the system doesn't say. */
async function descriptorsOf(pid: number): Promise<number> {
  try {
    return (await Array.fromAsync(Deno.readDir(`/proc/${pid}/fd`))).length;
  } catch {
    return 0;
  }
}

function valueOf(args: readonly string[], flag: string): string | undefined {
  const at = args.indexOf(flag);
  return at < 0 ? undefined : args[at + 1];
}
