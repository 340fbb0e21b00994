/**
 * `pleiades status`: how the node is, on a few lines.
 *
 * @module
 */
import { ApiClient, type ClientOptions, type JsonObject } from "./client.ts";
import type { ExitCode } from "./failure.ts";
import { fieldAt, type OutputFormat, printObject } from "./table.ts";
import type { Terminal } from "./terminal.ts";

/** Prints the state of the node; 1 when it doesn't answer DNS. */
export async function status(
  options: ClientOptions & { readonly output: OutputFormat },
  terminal: Terminal,
): Promise<ExitCode> {
  const state = await new ApiClient(options, terminal).get("/status");
  const shown = options.output === "table" ? summaryOf(state) : state;
  await printObject(shown, options.output, terminal);
  return state["ready"] === true ? 0 : 1;
}

/** What an operator wants to know first, in words. */
function summaryOf(state: JsonObject): JsonObject {
  const at = (path: string) => String(fieldAt(state, path) ?? "");
  const listeners = fieldAt(state, "dns.listeners");
  const region = at("node.region");
  return {
    node: `${at("node.id")} of cluster ${at("cluster.id")}${region === "" ? "" : `, region ${region}`}`,
    state: state["ready"] === true ? "ready" : "not ready",
    version: at("version"),
    uptime: uptime(Number(state["uptimeSeconds"] ?? 0)),
    generation: at("generation"),
    listens: Array.isArray(listeners) ? listeners.map(listener).join(", ") : "",
    answers: `${at("dns.answers")}, workers: ${at("dns.workers")}`,
    targets: `${at("health.healthy")} healthy, ${at("health.unhealthy")} unhealthy, ${
      at("health.unknown")
    } unknown`,
  };
}

function listener(value: unknown): string {
  const socket = value !== null && typeof value === "object" ? value : {};
  return `${"transport" in socket ? socket.transport : ""} ${"address" in socket ? socket.address : ""}`;
}

/** The two largest units that matter: `3 d 4 h`, `12 min 5 s`. */
function uptime(seconds: number): string {
  const parts: string[] = [];
  let rest = Math.floor(seconds);
  for (const [unit, size] of [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]] as const) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0 || (unit === "s" && parts.length === 0)) parts.push(`${count} ${unit}`);
  }
  return parts.slice(0, 2).join(" ");
}
