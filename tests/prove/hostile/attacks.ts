/**
 * What a hostile network, client or operator's mistake does to a node, each as a function that goes on until it is told to stop.
 *
 * @module
 */
import { anySignal } from "../../../src/any_signal.ts";
import { query } from "../../dns/packets.ts";
import { framed } from "../../dns/clients.ts";
import { Mutator } from "../../dns/mutate.ts";
import { RawConnections } from "./raw_connections.ts";
import type { SocketAddress } from "../../../src/ip.ts";
import { HASHED_NAME } from "./target.ts";

/** What is attacked, as far as attackers know it. */
export interface Victim {
  /** Where it answers DNS. */
  readonly dns: SocketAddress;
  /** Where it listens for HTTP. */
  readonly http: SocketAddress;
  /** URL of its API. */
  readonly api: string;
  /** Id of its process. */
  readonly pid: number;
}

/** One attack; it ends soon after the signal and leaves nothing open. How often it was made. */
export type Attack = (victim: Victim, signal: AbortSignal) => Promise<number>;

/** Addresses that attackers have, beside the one of well-behaved clients. */
const ATTACKERS = Array.from({ length: 32 }, (_, i) => `127.0.1.${i + 1}`);

/** All of them, by what they do. */
export const ATTACKS: Readonly<Record<string, Attack>> = {
  "no query first on TCP, then much": rounds(200, ({ dns }) => {
    using connections = new RawConnections();
    const noQuery = query("www.example.org", "A").with(2, 0x80);
    for (const from of ATTACKERS) {
      const fd = connections.connect(from, dns);
      connections.send(fd, joined(framed(noQuery), new Uint8Array(4096)));
    }
  }),
  "frames of length 0, 65,535 and none, then a reset": rounds(100, ({ dns }) => {
    using connections = new RawConnections();
    for (const [i, from] of ATTACKERS.entries()) {
      const fd = connections.connect(from, dns);
      connections.send(fd, [new Uint8Array(2), new Uint8Array(65_537).fill(255), new Uint8Array(1)][i % 3]!);
      connections.reset(fd);
    }
  }),
  "idle DNS connections": held(({ dns }, connections) => hold(connections, dns, 40)),
  "idle HTTP connections": held(({ http }, connections) => hold(connections, http, 40)),
  "half a head over HTTP": held(({ http }, connections) => {
    for (const fd of hold(connections, http, 20)) {
      connections.send(fd, ascii("GET /healthz HTTP/1.1\r\nHost: "));
    }
  }),
  "half a body over HTTP": held(({ http }, connections) => {
    const head = `POST /api/v1/pools HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n` +
      `Content-Length: 1000\r\n\r\n{"name":`;
    for (const fd of hold(connections, http, 20)) connections.send(fd, ascii(head));
  }),
  "asking over TCP and never reading": held(({ dns }, connections) => {
    const questions = framed(...Array.from({ length: 500 }, () => query("s1.example.org", "A")));
    const fds = hold(connections, dns, 8);
    return () => {
      for (const fd of fds) connections.send(fd, questions);
    };
  }),
  "mutated packets over UDP": async ({ dns }, signal) => {
    const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
    const mutator = new Mutator(crypto.getRandomValues(new Uint32Array(1))[0]!);
    const to = { transport: "udp" as const, ...dns };
    const made = await every(5, signal, async () => {
      for (let i = 0; i < 5; i++) await socket.send(mutator.next(), to).catch(() => {}); // refused: an earlier one
    });
    socket.close();
    return made;
  },
  "a new client's subnet in each query for a hash": async ({ dns }, signal) => {
    const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
    const to = { transport: "udp" as const, ...dns };
    const made = await every(5, signal, async () => {
      const hex = [...crypto.getRandomValues(new Uint16Array(3))].map((group) => group.toString(16)).join(
        ":",
      );
      await socket.send(query(HASHED_NAME, "A", { ecs: `2001:${hex}::/56` }), to);
    });
    socket.close();
    return made;
  },
  "90,000 unknown keys": http(({ api }, signal) => {
    const keys = Array.from({ length: 90_000 }, (_, i) => `"k${i}":0`).join();
    return post(`${api}/pools`, `{${keys}}`, "application/json", signal);
  }),
  "20,000 anchors": http(({ api }, signal) => {
    const anchors = Array.from({ length: 20_000 }, (_, i) => `  - &a${i} { name: p${i} }\n`).join("");
    return post(`${api}/apply?dryRun=true`, `pools:\n${anchors}`, "application/yaml", signal);
  }),
  "applies that are given up": http(({ api }, signal) => {
    const pools = Array.from({ length: 20_000 }, (_, i) => `  - { name: p${i} }\n`).join("");
    const soon = anySignal([signal, AbortSignal.timeout(20)]);
    return post(`${api}/apply?dryRun=true`, `pools:\n${pools}`, "application/yaml", soon);
  }),
  "signals": ({ pid }, signal) => {
    const signals = ["SIGHUP", "SIGUSR1", "SIGHUP", "SIGUSR2"] as const;
    let sent = 0;
    return every(500, signal, () => Promise.resolve(Deno.kill(pid, signals[sent++ % signals.length]!)));
  },
};

/** Does the same again and again. */
function rounds(everyMs: number, round: (victim: Victim) => void): Attack {
  return (victim, signal) => every(everyMs, signal, () => Promise.resolve(round(victim)));
}

/** Opens connections, keeps at it while it may, and closes them at the end. */
function held(open: (victim: Victim, connections: RawConnections) => (() => void) | unknown): Attack {
  return async (victim, signal) => {
    using connections = new RawConnections();
    const goOn = open(victim, connections);
    return await every(100, signal, () => Promise.resolve(typeof goOn === "function" ? goOn() : undefined));
  };
}

/** Connects from each attacker's address as often as wanted. */
function hold(
  connections: RawConnections,
  to: SocketAddress,
  each: number,
): number[] {
  return ATTACKERS.flatMap((from) => Array.from({ length: each }, () => connections.connect(from, to)));
}

function http(request: (victim: Victim, signal: AbortSignal) => Promise<void>): Attack {
  return (victim, signal) => every(1000, signal, () => request(victim, signal));
}

/** What is answered is the node's business; that the next well-behaved call is answered, too, is the proof's. */
async function post(url: string, body: string, type: string, signal: AbortSignal): Promise<void> {
  try {
    const response = await fetch(url, { method: "POST", body, headers: { "content-type": type }, signal });
    await response.body?.cancel();
  } catch {
    // Given up, or cut off by a bound of the node's.
  }
}

/** @returns how often it was done */
async function every(ms: number, signal: AbortSignal, act: () => Promise<unknown>): Promise<number> {
  let done = 0;
  for (; !signal.aborted; done++) {
    await act();
    await pause(ms, signal);
  }
  return done;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
