/**
 * The names that a shell offers for a word: of pools, members, services, zones, targets of overrides and generations. A
 * person waits with a finger on the tab key, so a node that doesn't answer at once, or not at all, has no names.
 *
 * @module
 */
import { ApiClient, type ClientOptions, type JsonObject } from "./client.ts";
import { CommandFailed, type ExitCode } from "./failure.ts";
import type { NameKind } from "./name_kinds.ts";
import { ObjectNames } from "./object_names.ts";
import type { Terminal } from "./terminal.ts";

/** Longest wait for each list. */
const TIMEOUT_MS = 500;
/** Pools whose members are looked at, one request each. */
const POOLS_MAX = 50;
/** Generations that are offered, the last ones: who wants an older one looks it up. */
const GENERATIONS_MAX = 50;

/** Prints the names of a kind, a line each; nothing when they aren't known. */
export async function completionNames(
  kind: NameKind,
  options: ClientOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  try {
    const api = new ApiClient(options, terminal, { timeoutMs: TIMEOUT_MS });
    const names = new Set(await namesOf(kind, api));
    if (names.size > 0) terminal.out([...names].join("\n"));
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error;
  }
  return 0;
}

async function namesOf(kind: NameKind, api: ApiClient): Promise<readonly string[]> {
  switch (kind) {
    case "pool":
      return texts(await api.list("/pools"), "name");
    case "service":
      return texts(await api.list("/services"), "domain");
    case "zone":
      return texts(await api.list("/zones"), "domain");
    case "generation":
      return texts(await api.list(`/history?limit=${GENERATIONS_MAX}`, GENERATIONS_MAX), "generation");
    case "token":
      return texts((await api.list("/tokens")).filter(({ revokedAt }) => revokedAt === null), "name");
    case "override":
      return texts(await api.list("/overrides"), "target");
    case "geo-rule":
      return await clientsOfRules(api);
    case "member":
      return (await membersOf(api)).map(({ name }) => name);
    case "target": {
      const members = await membersOf(api);
      const regions = new Set(members.map(({ region }) => region).filter((region) => region !== ""));
      const pools = texts(await api.list("/pools"), "name");
      return [
        ...pools.map((name) => `pool:${name}`),
        ...[...regions].map((region) => `region:${region}`),
        ...members.map(({ name }) => name),
      ];
    }
  }
}

async function membersOf(api: ApiClient): Promise<{ readonly name: string; readonly region: string }[]> {
  const names = new ObjectNames(api);
  const members: { name: string; region: string }[] = [];
  for (const { id } of (await names.pools()).slice(0, POOLS_MAX)) {
    for (const member of await names.membersOf(String(id))) {
      members.push({ name: await names.nameOf(member), region: String(member["region"] ?? "") });
    }
  }
  return members;
}

/** Geo rules go by their clients. */
async function clientsOfRules(api: ApiClient): Promise<readonly string[]> {
  const pools = (await new ObjectNames(api).pools()).slice(0, POOLS_MAX);
  const rules = (await Promise.all(pools.map(({ id }) => api.list(`/pools/${String(id)}/geo-rules`)))).flat();
  return rules.flatMap(({ cidr, country, continent, asn }) =>
    String(cidr ?? country ?? continent ?? asn ?? "")
  );
}

/** What can stand on a line of its own. */
function texts(rows: readonly JsonObject[], key: string): string[] {
  return rows.map((row) => String(row[key])).filter((text) => !/[\s\p{Cc}]/u.test(text));
}
