/**
 * The two ways to write that `prove crash` kills: over REST in a real node, and straight through the change path.
 *
 * @module
 */
import { program } from "../../programs.ts";
import { ServeProcess } from "../../serve_process.ts";
import { LineProcess } from "../../store/line_process.ts";
import { KEEP, type Writer } from "../crash.ts";
import { MEMBER_PORT, type Write } from "./lane.ts";

/** A line for `writer.ts`. */
export type DirectOrder =
  | { readonly write: Write }
  /** A model in NDJSON. */
  | { readonly apply: string }
  /** The same, to be planned. */
  | { readonly plan: string }
  /** The generation to go back to. */
  | { readonly rollback: number };

/** A process that hands each write to `Changes`, without a node around it. */
export function directDriver(path: string): Promise<Writer> {
  const child = new LineProcess(new URL("writer.ts", import.meta.url), [path]);
  /** Lines come back in the order in which they were sent; `null` = no more of them come. */
  const waiting: ((generation: number | null) => void)[] = [];
  const reading = (async () => {
    for (let line = await child.receive(); line !== null; line = await child.receive()) {
      if (!line.startsWith("ack ")) throw new Error(`The writer refused a valid write: ${line}`);
      waiting.shift()!(Number(line.slice("ack ".length)));
    }
  })().finally(() => {
    for (const resolve of waiting) resolve(null);
  });
  const send = (order: DirectOrder) =>
    new Promise<number | null>((resolve) => {
      waiting.push(resolve);
      // A closed pipe is what the reader's end tells too.
      child.send(JSON.stringify(order)).catch(() => {});
    });
  return Promise.resolve({
    write: async (write) => await send({ write }) !== null,
    apply: (lines) => send({ apply: lines }),
    plan: async (lines) => void await send({ plan: lines }),
    rollback: async (to) => await send({ rollback: to }) !== null,
    kill: async () => {
      child.kill();
      await reading;
      await child[Symbol.asyncDispose]();
    },
  });
}

/** `pleiades serve`, spoken to over its REST API as any client would. */
export async function restDriver(path: string): Promise<Writer> {
  const env = { PLEIADES_HISTORY_KEEP: String(KEEP) };
  const serve = await ServeProcess.start({ args: ["--db", path], executable: program("pleiades"), env });
  const client = Deno.createHttpClient({ poolMaxIdlePerHost: 64 });
  const ids = new Map<string, string>();
  let dead = false;
  const call = async (method: string, target: string, body?: unknown): Promise<unknown> => {
    // The oracle doesn't mind which names it leaves without an address.
    const forced = `${target.includes("?") ? "&" : "?"}force=true&reason=oracle`;
    const response = await fetch(`${serve.api}${target}${isForced(method, target) ? forced : ""}`, {
      client,
      method,
      ...(typeof body === "string" && { body, headers: { "content-type": "application/x-ndjson" } }),
      ...(typeof body === "object" &&
        { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
    const text = await response.text();
    if (!response.ok) throw new Refused(`${method} ${target}: ${response.status} ${text}`, response.status);
    return text === "" ? null : JSON.parse(text);
  };
  const learnIds = async () => {
    for (const { key, id } of await listed(call)) ids.set(key, id);
  };
  /** What the work gives, or `null` when the process died meanwhile. */
  const unlessDead = async <Result>(work: () => Promise<Result>): Promise<Result | null> => {
    try {
      return await work();
    } catch (cause) {
      if (cause instanceof Refused || !dead) throw cause;
      return null;
    }
  };
  await learnIds();
  return {
    write: async (write) => await unlessDead(() => send(write, { call, ids }).then(() => true)) ?? false,
    apply: async (lines) => {
      const applied = await unlessDead(() =>
        call("POST", "/apply", lines) as Promise<{ generation: number }>
      );
      // It is acknowledged, even if the node dies while it is asked for the ids.
      await unlessDead(learnIds);
      return applied && applied.generation;
    },
    plan: async (lines) => {
      await unlessDead(async () => {
        try {
          await call("POST", "/plan", lines);
        } catch (cause) {
          // While others write without a pause there may be no moment to plan from.
          if (!(cause instanceof Refused && cause.status === BUSY)) throw cause;
        }
      });
    },
    rollback: async (to) => {
      const done = await unlessDead(() => call("POST", `/rollback?to=${to}`).then(() => true));
      await unlessDead(learnIds);
      return done ?? false;
    },
    kill: async () => {
      dead = true;
      await serve[Symbol.asyncDispose]();
      client.close();
    },
  };
}

/** Whether a request is a change that a guard may refuse. */
function isForced(method: string, target: string): boolean {
  return method === "PATCH" || method === "DELETE" || /^\/(?:apply|rollback)/.test(target);
}

/** An answer other than 2xx: the oracle only sends what is valid. */
class Refused extends Error {
  override readonly name = "Refused";
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

const BUSY = 503;

type Call = (method: string, target: string, body?: unknown) => Promise<unknown>;

/** What the node has from the rounds before. */
async function listed(call: Call): Promise<{ key: string; id: string }[]> {
  const keys: { key: string; id: string }[] = [];
  for (const { id, name } of await call("GET", "/pools?limit=1000") as { id: string; name: string }[]) {
    keys.push({ key: name, id });
    const members = await call("GET", `/pools/${id}/members?limit=1000`) as {
      id: string;
      ipAddress: string;
    }[];
    for (const member of members) keys.push({ key: `${name} ${member.ipAddress}`, id: member.id });
  }
  for (
    const { id, domain } of await call("GET", "/services?limit=1000") as { id: string; domain: string }[]
  ) {
    keys.push({ key: domain, id });
  }
  return keys;
}

async function send(write: Write, { call, ids }: { call: Call; ids: Map<string, string> }): Promise<void> {
  const create = async (key: string, target: string, body: unknown) => {
    ids.set(key, (await call("POST", target, body) as { id: string }).id);
  };
  switch (write.kind) {
    case "createPool":
      return await create(write.pool, "/pools", { name: write.pool });
    case "changePool":
      await call("PATCH", `/pools/${ids.get(write.pool)}`, { maxAnswers: write.maxAnswers });
      return;
    case "deletePool":
      await call("DELETE", `/pools/${ids.get(write.pool)}`);
      return;
    case "createMember":
      return await create(`${write.pool} ${write.ipAddress}`, `/pools/${ids.get(write.pool)}/members`, {
        ipAddress: write.ipAddress,
        port: MEMBER_PORT,
        weight: write.weight,
      });
    case "changeMember":
      await call("PATCH", `/members/${ids.get(`${write.pool} ${write.ipAddress}`)}`, {
        weight: write.weight,
      });
      return;
    case "deleteMember":
      await call("DELETE", `/members/${ids.get(`${write.pool} ${write.ipAddress}`)}`);
      return;
    case "createService":
    case "changeService": {
      const fields = { poolId: write.pool === null ? null : ids.get(write.pool), ttl: write.ttl };
      if (write.kind === "createService") {
        return await create(write.domain, "/services", { domain: write.domain, ...fields });
      }
      await call("PATCH", `/services/${ids.get(write.domain)}`, fields);
      return;
    }
    case "deleteService":
      await call("DELETE", `/services/${ids.get(write.domain)}`);
  }
}
