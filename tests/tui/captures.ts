/**
 * What each screen looks like, at the smallest size and at a large one: golden files, of which some are pictures in docs/tui.md.
 * `deno run -A --unstable-net tests/golden/update.ts` writes both.
 *
 * @module
 */
import { Changes } from "../../src/change/commit.ts";
import { systemClock } from "../../src/clock.ts";
import { checkTargetOf } from "../../src/desired/check_target.ts";
import { HEALTH_CHECK_DEFAULTS, POOL_DEFAULTS } from "../../src/model/model.ts";
import { newId } from "../../src/model/id.ts";
import { Store } from "../../src/store/store.ts";
import { guardSettings } from "../../src/tui/guard_settings.ts";
import type { Event } from "../../src/tui/model.ts";
import type { State } from "../../src/tui/state.ts";
import { frameOf } from "../../src/tui/view/frame.tsx";
import { happen, opened, play } from "./played.ts";
import { DeskFixture, type Filling } from "./store_fixture.ts";

/** Where they lie. */
export const GOLDEN: string = new URL("../golden/tui/", import.meta.url).pathname;
/** The page with pictures. */
export const PAGE: string = new URL("../../docs/tui.md", import.meta.url).pathname;

/** What is in the database. */
export const FILLING: Filling = {
  pools: {
    api: ["192.0.2.20", "2001:db8::20"],
    mail: ["192.0.2.30"],
    web: ["192.0.2.10", "192.0.2.11", "192.0.2.12"],
  },
  services: {
    "*.shop.example.org": "web",
    "api.example.org": "api",
    "static.example.org": null,
    "www.example.org": "web",
  },
};

const SIZES = [{ columns: 80, rows: 24 }, { columns: 200, rows: 60 }] as const;

const CONNECTED: Event = {
  kind: "server",
  change: {
    state: "connected",
    rate: 1203.4,
    nodes: [
      { id: "fra-1", region: "eu-central", heard: "this one answers", model: "up to date" },
      { id: "fra-2", region: "eu-central", heard: "1 s ago", model: "the same" },
      { id: "ams-1", region: "eu-west", heard: "2 s ago", model: "3 behind" },
    ],
    status: [
      "node         fra-1 of cluster default",
      "state        ready",
      "targets      2 healthy, 1 unhealthy, 0 unknown",
    ],
    events: ["12:00:03  health    192.0.2.11:443 tcp unhealthy, was healthy: connection refused"],
  },
};

/** Each screen: the keys that lead to it. */
const SCREENS: Readonly<Record<string, readonly string[]>> = {
  "pools": ["end"],
  "members": ["end", "enter", "down"],
  "health-check": ["end", "enter", "2"],
  "geo-rules": ["end", "enter", "3"],
  "services": ["tab", "end"],
  "service-form": ["tab", "end", "enter"],
  "pool-picker": ["tab", "end", "enter", "down", "space"],
  "wrong-field": ["end", "enter", "c", '"192.0.2.300', "enter"],
  "delete": ["end", "x"],
  "history": ["tab", "tab"],
  "generation": ["tab", "tab", "enter"],
  "undo": ["tab", "tab", "u"],
  "site": ["shift-tab"],
  "keys": ["?"],
};

/** Every capture by its file's name. */
export async function captures(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const [name, state] of await states()) {
    found.set(`${name}.${state.size.columns}x${state.size.rows}.txt`, textOf(state));
  }
  return found;
}

/** Every screen as it is sent to a terminal with colours. */
export async function painted(): Promise<string[]> {
  return (await states()).map(([, state]) => frameOf(state, { colour: true }).join("\n"));
}

let made: Promise<[name: string, state: State][]> | null = null;

/** Every screen at both sizes; made once. */
function states(): Promise<[name: string, state: State][]> {
  return made ??= makeStates();
}

async function makeStates(): Promise<[name: string, state: State][]> {
  await using fixture = new DeskFixture(FILLING);
  observe(fixture);
  const { desk } = fixture;
  desk.look();
  desk.guardBy(guardSettings({ config: undefined, env: {} }));
  const found: [string, State][] = [];
  for (const size of SIZES) {
    for (const [name, keys] of Object.entries(SCREENS)) {
      const start = await happen(desk, await opened(desk, size), CONNECTED);
      found.push([name, await play(desk, start, ...keys)]);
    }
  }
  return found;
}

/** A state as a terminal without colours shows it; changes are made at one time, whenever it is. */
export function textOf(state: State): string {
  const lines = frameOf(state, { colour: false })
    .map((line) => line.replaceAll(STYLE, "").replaceAll(TIME, "2026-02-01 03:00:07").trimEnd());
  return `${lines.join("\n")}\n`;
}

const TIME = /\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b/g;

const STYLE = new RegExp(String.raw`\x1b\[[0-9;]*m`, "g");

/** A check, a rule, and what a node has found. */
export function observe({ path, ids }: DeskFixture): void {
  using store = Store.open(path);
  const rule = {
    cidr: "198.51.100.0/24",
    country: null,
    continent: null,
    asn: null,
    memberId: ids["192.0.2.10"]!,
  };
  new Changes({ store, clock: systemClock }).commit([
    { kind: "putHealthCheck", poolId: ids["web"]!, fields: HEALTH_CHECK_DEFAULTS },
    { kind: "createGeoRule", id: newId(), poolId: ids["web"]!, fields: rule },
    { kind: "createPool", id: newId(), fields: { ...POOL_DEFAULTS, name: "spare", algorithm: "failover" } },
  ], { via: "api", by: "grace", reason: "" });
  const verdict = { since: 1, latencyMs: 2, checkedAt: 1 } as const;
  store.verdicts.save(["10", "11", "12"].map((last) => [
    checkKey(`192.0.2.${last}`),
    last === "11"
      ? { ...verdict, state: "unhealthy", lastError: "connection refused" }
      : { ...verdict, state: "healthy", lastError: null },
  ]));
}

function checkKey(ipAddress: string): string {
  return checkTargetOf({ ipAddress, port: 443 }, HEALTH_CHECK_DEFAULTS).key;
}

/** The page with the pictures of today: each stands in a block behind a comment that names it. */
export function illustrated(page: string, found: ReadonlyMap<string, string>): string {
  return page.replaceAll(
    /(<!-- capture: (\S+) -->\n\n```text\n)[\s\S]*?(```)/g,
    (_, begin: string, name: string, end: string) => `${begin}${found.get(`${name}.80x24.txt`) ?? ""}${end}`,
  );
}

/** Writes golden files and the page. */
export async function updateCaptures(): Promise<void> {
  const found = await captures();
  Deno.mkdirSync(GOLDEN, { recursive: true });
  for (const { name } of Deno.readDirSync(GOLDEN)) if (!found.has(name)) Deno.removeSync(`${GOLDEN}${name}`);
  for (const [name, text] of found) Deno.writeTextFileSync(`${GOLDEN}${name}`, text);
  Deno.writeTextFileSync(PAGE, illustrated(Deno.readTextFileSync(PAGE), found));
}
