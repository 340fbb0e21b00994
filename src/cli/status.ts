/**
 * `pleiades status`: how the node is, on a few lines.
 *
 * @module
 */
import { ApiClient, type ClientOptions, isJsonObject, type JsonObject } from "./client.ts";
import { countOf } from "../input/count.ts";
import type { ExitCode } from "./failure.ts";
import { span } from "./span.ts";
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
    uptime: span(Number(state["uptimeSeconds"] ?? 0)),
    generation: at("generation"),
    listens: Array.isArray(listeners) ? listeners.map(listener).join(", ") : "",
    answers: `${at("dns.answers")} by ${countOf(Number(at("dns.workers")), "worker")}`,
    ...transportOf(state),
    ...limitedOf(state),
    pools: poolsOf(state),
    targets: `${at("health.healthy")} healthy, ${at("health.unhealthy")} unhealthy, ${
      at("health.unknown")
    } unknown`,
    ...peersOf(state),
    ...natsOf(state),
    ...logOf(state),
    ...documentOf(state),
    overrides: `${at("overrides.active")} active, ${at("overrides.planned")} planned`,
    ...licenseOf(state),
    ...gitopsOf(state),
  };
}

/** A line where packets come in more slowly than they could. */
function transportOf(state: JsonObject): JsonObject {
  const reason = fieldAt(state, "dns.udp.reason") ?? null;
  return reason === null
    ? {}
    : { "UDP transport": `portable, the Linux one can't be used: ${String(reason)}` };
}

/** A line where some weren't answered as they were asked: `812 by the rate, 3 denied`. */
function limitedOf(state: JsonObject): JsonObject {
  const limited = fieldAt(state, "dns.limited");
  if (!isJsonObject(limited)) return {};
  const words = Object.entries(LIMITED_WORDS)
    .filter(([limit]) => Number(limited[limit] ?? 0) > 0)
    .map(([limit, word]) => `${String(limited[limit])} ${word}`);
  return words.length > 0 ? { limited: words.join(", ") } : {};
}

const LIMITED_WORDS = {
  overload: "dropped in overload",
  rate: "beyond the rate",
  amplification: "too large",
  denied: "denied",
  refused: "not allowed",
};

/** Where nodes share what they find: who they are, and by what policy. */
function peersOf(state: JsonObject): JsonObject {
  const peers = fieldAt(state, "peers");
  if (!isJsonObject(peers)) return {};
  const { policy, quorumMinPercent, sight, differing, nodes } = peers;
  const self = fieldAt(state, "node.id");
  const named = (Array.isArray(nodes) ? nodes.filter(isJsonObject) : []).map(
    ({ id, region, heartbeatAgeSeconds, model }) => {
      const age = id === self ? "this one" : `heard ${span(Number(heartbeatAgeSeconds))} ago`;
      const words = [...region === "" ? [] : [String(region)], age, ...id === self ? [] : modelWords(model)];
      return `${String(id)} (${words.join(", ")})`;
    },
  );
  const quorum = policy === "global-quorum" ? ` of ${String(quorumMinPercent)} %` : "";
  const few = Number(differing);
  return {
    nodes: `${named.length} active: ${named.join(", ")}`,
    "health policy": `${String(policy)}${quorum}${
      few === 0
        ? ""
        : `; ${countOf(few, "target")} ${few === 1 ? "differs" : "differ"} from what this node finds`
    }${SIGHT[String(sight)] ?? ""}`,
  };
}

/** What is to be known of another node's model, if it isn't this one's: `3 behind`, `2 pending`, `another model`. */
export function modelWords(model: unknown): string[] {
  if (!isJsonObject(model)) return [];
  const log = isJsonObject(model["log"]) ? model["log"] : {};
  return [
    ...(["behind", "pending"] as const).filter((key) => Number(log[key] ?? 0) > 0).map((key) =>
      `${String(log[key])} ${key}`
    ),
    ...(model["differs"] === true ? ["another model"] : []),
  ];
}

/** The server by which nodes tell each other, or why there is none; and a line for whatever else is wrong. */
function natsOf(state: JsonObject): JsonObject {
  const nats = fieldAt(state, "nats");
  if (!isJsonObject(nats)) return {};
  const faults = Array.isArray(nats["faults"]) ? nats["faults"].map(String) : [];
  const connected = nats["server"] === null ? "not connected" : `connected to ${String(nats["server"])}`;
  return { nats: [connected, ...faults].join("; ") };
}

/** How far the node has come in the cluster's log: `204 changes, 3 pending; 1 change undone (pleiades status -o json)`. */
function logOf(state: JsonObject): JsonObject {
  const log = fieldAt(state, "log");
  if (!isJsonObject(log)) return {};
  const undone = Array.isArray(log["conflicts"]) ? log["conflicts"].length : 0;
  const parts = [
    `${countOf(Number(log["entries"]), "change")}, ${String(log["pending"])} pending`,
    ...(Number(log["behind"]) > 0 ? [`${String(log["behind"])} behind`] : []),
    ...(undone > 0 ? [`${countOf(undone, "change")} undone (pleiades status -o json)`] : []),
    ...(log["fault"] === null ? [] : [`not followed: ${String(log["fault"])}`]),
  ];
  return { "cluster log": parts.join("; ") };
}

/** Of the cluster's document, what is wrong with it. */
function documentOf(state: JsonObject): JsonObject {
  const document = fieldAt(state, "document");
  if (!isJsonObject(document) || document["fault"] === null) return {};
  return { "cluster document": `not taken over: ${String(document["fault"])}` };
}

const SIGHT: Readonly<Record<string, string>> = {
  contradicted: "; a peer sees most targets up that this node finds down, and either may be right",
  blind: "; most peers see targets up that this node finds down: it counts as blind, and goes by them",
};

/** A line where licensing is on, and one for what there is to do; `valid: 812 of 1000 answers a second, tier paid, until …`. */
function licenseOf(state: JsonObject): JsonObject {
  const license = fieldAt(state, "license");
  if (!isJsonObject(license) || license["state"] === "off") return {};
  const { state: word, reason, tier, limit, used, expiresAt, warnings } = license;
  const detail = reason === null
    ? `tier ${String(tier)}, until ${String(expiresAt).replace(".000Z", "Z")}`
    : String(reason);
  const todo = Array.isArray(warnings) ? warnings.map(String) : [];
  return {
    license: `${String(word)}: ${String(used)} of ${String(limit)} answers a second, ${detail}`,
    ...todo.length > 0 && { "to do": todo.join("; ") },
  };
}

/** A line where a repository is followed: `synced: commit f2d43b5e1f1d, signed by alice`. */
function gitopsOf(state: JsonObject): JsonObject {
  const gitops = fieldAt(state, "gitops");
  if (!isJsonObject(gitops) || gitops["state"] === "off") return {};
  const { state: word, commit, signer, drift, problem } = gitops;
  const applied = commit === null
    ? "no commit is applied"
    : `commit ${String(commit).slice(0, 12)}${signer === "" ? "" : `, signed by ${String(signer)}`}`;
  const drifted = drift === 0 ? "" : `, ${countOf(Number(drift), "object")} changed since by another way`;
  return {
    git: `${String(word)}: ${applied}${drifted}`,
    ...problem !== null && { "git problem": String(problem) },
  };
}

/** How many pools are down, and which: `1 of 3 down: web 0/2 (answering all)`. */
function poolsOf(state: JsonObject): string {
  const down = Number(fieldAt(state, "pools.down") ?? 0);
  const total = Number(fieldAt(state, "pools.total") ?? 0);
  if (down === 0) return total === 0 ? "none" : `${total}, none down`;
  const named = fieldAt(state, "pools.downPools");
  const words = Array.isArray(named) ? named.filter(isJsonObject).map(wordsOf) : [];
  const more = down - Math.min(words.length, NAMED_MAX);
  const listed = words.slice(0, NAMED_MAX).join(", ");
  return `${down} of ${total} down: ${listed}${more > 0 ? ` and ${more} more` : ""}`;
}

/** Pools that are named on one line. */
const NAMED_MAX = 5;

function wordsOf({ name, family, members, healthy, answers }: JsonObject): string {
  const which = family === null ? "" : ` IP${String(family)}`;
  return `${String(name)}${which} ${String(healthy)}/${String(members)} (${String(answers)})`;
}

function listener(value: unknown): string {
  const socket = value !== null && typeof value === "object" ? value : {};
  return `${"transport" in socket ? socket.transport : ""} ${"address" in socket ? socket.address : ""}`;
}
