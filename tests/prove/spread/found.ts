/** @module What nodes find at many addresses, and processes that say so. */
import { LOOK_MS } from "../../../src/cluster/wire_format.ts";
import type { LocalReport } from "../../../src/health/peers.ts";
import { TARGET } from "../../cluster/nodes.ts";
import { LineProcess } from "../../store/line_process.ts";

/** An address of loopback at which nothing is. */
export function addressAt(i: number): string {
  return `127.${1 + (i >> 16)}.${i >> 8 & 255}.${i & 255}`;
}

/** What all nodes find at so many addresses. */
export function foundAt(addresses: number): LocalReport[] {
  return Array.from({ length: addresses }, (_, i) => ({
    ...{ address: addressAt(i), target: TARGET, state: "healthy", since: 0 },
  }));
}

/** As many heartbeats as ten times as many nodes send unless told otherwise, and looks at the bucket as nodes have them. */
export const HEARTBEATS = { heartbeatIntervalMs: 1_000, heartbeatTtlMs: 30_000, lookMs: LOOK_MS } as const;

/** Starts so many nodes that have found it, and look for a server. */
export async function startWriters(
  { server, nodes, addresses }: {
    readonly server: string;
    readonly nodes: number;
    readonly addresses: number;
  },
): Promise<LineProcess> {
  const writers = new LineProcess(new URL("writers.ts", import.meta.url), [
    ...[server, String(nodes), String(addresses)],
  ]);
  await writers.receive();
  return writers;
}
