/**
 * The two ways to write that `prove crash` kills: over REST in a real node, and straight through the change path.
 *
 * @module
 */
import { program } from "../../programs.ts";
import { ServeProcess } from "../../serve_process.ts";
import { LineProcess } from "../../store/line_process.ts";
import type { Writer } from "../crash.ts";
import { MEMBER_PORT, type Write } from "./lane.ts";

/** A process that hands each write to `Changes`, without a node around it. */
export function directDriver(path: string): Promise<Writer> {
  const child = new LineProcess(new URL("writer.ts", import.meta.url), [path]);
  /** Lines come back in the order in which they were sent. */
  const waiting: ((acknowledged: boolean) => void)[] = [];
  const reading = (async () => {
    for (let line = await child.receive(); line !== null; line = await child.receive()) {
      if (line !== "ack") throw new Error(`The writer refused a valid write: ${line}`);
      waiting.shift()!(true);
    }
  })().finally(() => {
    for (const resolve of waiting) resolve(false);
  });
  return Promise.resolve({
    write: (write) =>
      new Promise<boolean>((resolve) => {
        waiting.push(resolve);
        // A closed pipe is what the reader's end tells too.
        child.send(JSON.stringify(write)).catch(() => {});
      }),
    kill: async () => {
      child.kill();
      await reading;
      await child[Symbol.asyncDispose]();
    },
  });
}

/** `pleiades serve`, spoken to over its REST API as any client would. */
export async function restDriver(path: string): Promise<Writer> {
  const serve = await ServeProcess.start({ args: ["--db", path], executable: program("pleiades") });
  const client = Deno.createHttpClient({ poolMaxIdlePerHost: 64 });
  const ids = new Map<string, string>();
  let dead = false;
  const call = async (method: string, target: string, body?: unknown): Promise<unknown> => {
    const response = await fetch(`${serve.api}${target}`, {
      client,
      method,
      ...(body !== undefined &&
        { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
    const text = await response.text();
    if (!response.ok) throw new Refused(`${method} ${target}: ${response.status} ${text}`);
    return text === "" ? null : JSON.parse(text);
  };
  for (const { key, id } of await listed(call)) ids.set(key, id);
  return {
    write: async (write) => {
      try {
        await send(write, { call, ids });
        return true;
      } catch (cause) {
        if (cause instanceof Refused || !dead) throw cause;
        return false;
      }
    },
    kill: async () => {
      dead = true;
      await serve[Symbol.asyncDispose]();
      client.close();
    },
  };
}

/** An answer other than 2xx: the oracle only sends what is valid. */
class Refused extends Error {
  override readonly name = "Refused";
}

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
