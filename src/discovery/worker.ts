/**
 * Threads of discovery, each with one task: one answers DNS, so that nothing that keeps the main thread busy — a reload, a
 * request — keeps a client waiting; one reads Consul, whose answers would keep the main thread busy. Messages in: `Order`;
 * out: `Report`.
 *
 * @module
 */
import { seededRng, systemRng } from "../clock.ts";
import type { SocketAddress } from "../ip.ts";
import { type AnsweringOptions, LocalAnswering } from "./answering.ts";
import type { Change } from "./catalog.ts";
import { Reader, type ReaderOptions, type ReaderReport } from "./reader.ts";
import { type Sampled, Sampler } from "./sampler.ts";
import { Tally, type TallyRow } from "./tally.ts";

/** From the main thread. */
export type Order =
  /** Answer; the first order. */
  | { readonly kind: "start"; readonly options: AnsweringOptions; readonly changes: readonly Change[] }
  /** Read; the first order of another thread. */
  | {
    readonly kind: "read";
    readonly options: ReaderOptions;
    readonly kept: ReadonlyMap<string, readonly string[]>;
  }
  | { readonly kind: "change"; readonly changes: readonly Change[] }
  /** Say when all before it is in the answers. */
  | { readonly kind: "settle"; readonly number: number }
  | { readonly kind: "stop" };

/** To the main thread. */
export type Report =
  | { readonly kind: "listening"; readonly address: SocketAddress; readonly fd: number | null }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "settled"; readonly number: number }
  | { readonly kind: "answered"; readonly rows: readonly TallyRow[] }
  | { readonly kind: "sampled"; readonly sampled: Sampled }
  | { readonly kind: "fault"; readonly message: string; readonly reason: string }
  | ReaderReport
  | { readonly kind: "stopped" };

/** Time that counts and samples gather before they are told. */
const REPORT_MS = 250;

/** The worker's global scope, as far as it is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<Order>) => void) | null;
  postMessage(report: Report): void;
  close(): void;
}

const scope = globalThis as unknown as WorkerScope;
const tally = new Tally();
let answering: LocalAnswering | null = null;
let sampler: Sampler | null = null;
let reader: Reader | null = null;
/** Until the next report; none = nothing was answered since the last. */
let reporting: ReturnType<typeof setTimeout> | undefined;

scope.onmessage = ({ data: order }) => {
  switch (order.kind) {
    case "start":
      return start(order.options, order.changes);
    case "read":
      reader = new Reader(order.options, order.kept, (report) => scope.postMessage(report));
      return;
    case "change":
      return answering?.apply(order.changes);
    case "settle":
      return scope.postMessage({ kind: "settled", number: order.number });
    case "stop":
      return void stop();
  }
};

function start(options: AnsweringOptions, changes: readonly Change[]): void {
  sampler = options.sampling && new Sampler(options.sampling, seededRng(systemRng()));
  try {
    answering = new LocalAnswering(options, changes, {
      ...{ isAlone: true, sampler },
      observe: (counted) => {
        tally.add(counted);
        reporting ??= setTimeout(report, REPORT_MS);
      },
      fault: (message, reason) => scope.postMessage({ kind: "fault", message, reason }),
    });
  } catch (error) {
    scope.postMessage({ kind: "failed", message: error instanceof Error ? error.message : String(error) });
    return;
  }
  scope.postMessage({ kind: "listening", address: answering.address, fd: answering.fd });
}

async function stop(): Promise<void> {
  clearTimeout(reporting);
  await answering?.[Symbol.asyncDispose]();
  await reader?.[Symbol.asyncDispose]();
  report();
  scope.postMessage({ kind: "stopped" });
  scope.close();
}

function report(): void {
  reporting = undefined;
  const rows = tally.take();
  if (rows.length > 0) scope.postMessage({ kind: "answered", rows });
  const sampled = sampler?.take() ?? null;
  if (sampled !== null) scope.postMessage({ kind: "sampled", sampled });
}
