/**
 * The terminal UI under load: `deno task prove tui [POOLS [FLAPPING [SERVICES]]]`.
 *
 * First a node with 10,000 pools, of which 200 members flap each second: how soon a key is answered on the screen, what an idle
 * terminal UI takes of a core, and that the node reloads nothing because one is open. Then 100,000 services are applied while two
 * terminal UIs are open and 1,000 changes are made beside it, by the API and by two more desks at the same file: each is in the history
 * or was refused, and keys go on being answered.
 *
 * Times are those of `tmux`: from the key to the capture that shows it, the 5 ms of a capture included.
 *
 * @module
 */
import { ROOT } from "../../scripts/process.ts";
import { Changes } from "../../src/change/commit.ts";
import type { Edit } from "../../src/change/edit.ts";
import { systemClock } from "../../src/clock.ts";
import { newId } from "../../src/model/id.ts";
import { HEALTH_CHECK_DEFAULTS, MEMBER_DEFAULTS, POOL_DEFAULTS } from "../../src/model/model.ts";
import { Store } from "../../src/store/store.ts";
import { StoreDesk } from "../../src/tui/store_desk.ts";
import { ServeProcess } from "../serve_process.ts";
import { TmuxTerminal } from "../tui/driver.ts";

/** Milliseconds within which 95 % of the keys are answered: at rest, and during an apply. */
const KEY_P95_MS = 50;
const KEY_P95_APPLY_MS = 100;
/** Share of a core that an idle terminal UI takes at most. */
const IDLE_SHARE = 0.03;
const KEYS = 100;
const IDLE_MS = 20_000;
/** `sysconf(_SC_CLK_TCK)` on Linux. */
const TICKS_PER_SECOND = 100;

/** Runs the proof. */
export async function prove(
  [pools = "10000", flapping = "200", services = "100000"]: string[],
): Promise<boolean> {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/pleiades.db`;
    using flaps = new Flapping(Number(flapping));
    fill(path, Number(pools), flaps.ports);
    await using node = await ServeProcess.start({ args: ["--db", path] });
    const [flat, applied] = [
      await underFlapping(node, path, flaps),
      await underApply(node, path, Number(services)),
    ];
    return flat && applied;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Listeners of which a half is closed, and the other half open, in turns of a second. */
class Flapping implements Disposable {
  readonly ports: readonly number[];
  readonly #listeners: (Deno.Listener | null)[];
  #timer: ReturnType<typeof setInterval> | null = null;

  constructor(count: number) {
    this.#listeners = Array.from({ length: count }, () => listen(0));
    this.ports = this.#listeners.map((listener) => (listener!.addr as Deno.NetAddr).port);
  }

  start(): void {
    this.#timer = setInterval(() => {
      for (const [i, listener] of this.#listeners.entries()) {
        listener?.close();
        this.#listeners[i] = listener === null ? listen(this.ports[i]!) : null;
      }
    }, 1_000);
  }

  [Symbol.dispose](): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    for (const listener of this.#listeners) listener?.close();
  }
}

function listen(port: number): Deno.Listener {
  const listener = Deno.listen({ hostname: "127.0.0.1", port });
  (async () => {
    for await (const connection of listener) connection.close();
  })().catch(() => {}); // it ends when it is closed
  return listener;
}

function fill(path: string, pools: number, ports: readonly number[]): void {
  using store = Store.open(path);
  const edits: Edit[] = [];
  for (let i = 0; i < pools; i++) {
    const id = newId();
    edits.push({
      kind: "createPool",
      id,
      fields: { ...POOL_DEFAULTS, name: `pool-${String(i).padStart(6, "0")}` },
    });
    const port = ports[i] ?? 443;
    const fields = { ...MEMBER_DEFAULTS, ipAddress: "127.0.0.1", port };
    edits.push({ kind: "createMember", id: newId(), poolId: id, fields });
    if (i >= ports.length) continue;
    const check = { ...HEALTH_CHECK_DEFAULTS, intervalMs: 250, timeoutMs: 200, rise: 1, fall: 1 };
    edits.push({ kind: "putHealthCheck", poolId: id, fields: check });
  }
  new Changes({ store, clock: systemClock }).commit(edits, { via: "api", by: "prove", reason: "" });
}

/** Opens a terminal UI beside the node, and says how long its first screen took. */
async function open(
  node: ServeProcess,
  path: string,
): Promise<{ terminal: TmuxTerminal; pid: number; firstMs: number }> {
  const terminal = await TmuxTerminal.open();
  const executable = Deno.env.get("PLEIADES_EXECUTABLE");
  const program = executable ?? `${Deno.execPath()} run -A --quiet --no-check --unstable-net ${ROOT}/main.ts`;
  await terminal.type(`exec ${program} tui --db ${path} --api ${new URL(node.api).origin}`);
  const begin = performance.now();
  await terminal.press("Enter");
  await terminal.sees(/> pool-000000/);
  const firstMs = performance.now() - begin;
  await terminal.sees(/node: connected/);
  // The shell has become the program.
  return { terminal, pid: await terminal.shellPid(), firstMs };
}

/** Milliseconds from a key to the screen that shows it. */
async function keyTimes(
  terminal: TmuxTerminal,
  count: number,
  isOver: () => boolean = () => false,
): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count && !isOver(); i++) {
    const before = /^> (\S+)/m.exec(await terminal.screen())?.[1];
    const begin = performance.now();
    await terminal.press(i % 20 < 10 ? "j" : "k");
    await terminal.until((screen) => /^> (\S+)/m.exec(screen)?.[1] !== before, "another marked row");
    times.push(performance.now() - begin);
  }
  return times;
}

function p95(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.95)] ?? NaN;
}

async function reloads(node: ServeProcess): Promise<number> {
  const text = await (await fetch(new URL("/metrics", node.api))).text();
  return [...text.matchAll(/^pleiades_config_reloads_total\{[^}]*\} (\d+)/gm)]
    .reduce((sum, [, count]) => sum + Number(count), 0);
}

async function cpuTicks(pid: number): Promise<number> {
  const fields = (await Deno.readTextFile(`/proc/${pid}/stat`)).replace(/^.*\) /, "").split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

async function underFlapping(node: ServeProcess, path: string, flaps: Flapping): Promise<boolean> {
  flaps.start();
  const before = await reloads(node);
  const { terminal, pid, firstMs } = await open(node, path);
  await using _terminal = terminal;
  const times = await keyTimes(terminal, KEYS);
  const ticks = await cpuTicks(pid);
  await systemClock.sleep(IDLE_MS, new AbortController().signal);
  const share = (await cpuTicks(pid) - ticks) / TICKS_PER_SECOND / (IDLE_MS / 1000);
  const reloaded = await reloads(node) - before;
  console.log(
    `first screen ${firstMs.toFixed(0)} ms; key p95 ${
      p95(times).toFixed(0)
    } ms of ${times.length} (bar ${KEY_P95_MS})`,
  );
  console.log(
    `idle ${(share * 100).toFixed(1)} % of a core (bar ${
      IDLE_SHARE * 100
    }); ${reloaded} reloads of the node (bar 0)`,
  );
  return p95(times) <= KEY_P95_MS && share <= IDLE_SHARE && reloaded === 0;
}

async function underApply(node: ServeProcess, path: string, services: number): Promise<boolean> {
  const { terminal } = await open(node, path);
  await using _one = terminal;
  const { terminal: second } = await open(node, path);
  await using _two = second;
  // What is there stays, so that only services come.
  const model = await (await fetch(`${node.api}/model`, { headers: { accept: "application/x-ndjson" } }))
    .text();
  const lines = Array.from(
    { length: services },
    (_, i) => `{"service":{"domain":"s${i}.example.org","pool":"pool-000001"}}\n`,
  );
  let isOver = false;
  const applying = fetch(`${node.api}/apply?force=true&reason=prove`, {
    method: "POST",
    headers: { "content-type": "application/x-ndjson" },
    body: `${model.trimEnd()}\n${lines.join("")}`,
  }).then(async (response) => {
    isOver = true;
    return { status: response.status, text: await response.text() };
  });
  const writing = Promise.all([
    writesByApi(node, 400),
    writesAtDesk(path, "one", 300),
    writesAtDesk(path, "two", 300),
  ]);
  const times = await keyTimes(terminal, 10_000, () => isOver);
  const applied = await applying;
  const outcomes = (await writing).flat();
  const saved = outcomes.filter((outcome) => outcome === "saved").length;
  const odd = outcomes.filter((outcome) => outcome !== "saved" && !outcome.startsWith("refused"));
  const screens = [await terminal.screen(), await second.screen()].join("\n");
  using store = Store.open(path);
  const entries =
    store.history.page({ limit: 10_000 }).items.filter(({ by }) => by.startsWith("prove-")).length;
  console.log(`apply: ${applied.status} ${applied.text.slice(0, 120)}`);
  console.log(`key p95 ${p95(times).toFixed(0)} ms of ${times.length} during it (bar ${KEY_P95_APPLY_MS})`);
  console.log(
    `${outcomes.length} writes: ${saved} saved, ${entries} of the desks' in the history, ${odd.length} odd ${
      odd[0] ?? ""
    }`,
  );
  const isLocked = /SQLITE_BUSY|database is locked/i.test(screens);
  return applied.status === 200 && p95(times) <= KEY_P95_APPLY_MS && odd.length === 0 && !isLocked;
}

async function writesByApi(node: ServeProcess, count: number): Promise<string[]> {
  const outcomes: string[] = [];
  for (let i = 0; i < count; i++) {
    const response = await fetch(`${node.api}/pools`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name: `api-${i}` }),
    });
    await response.body?.cancel();
    outcomes.push(response.status === 201 ? "saved" : `refused ${response.status}`);
  }
  return outcomes;
}

async function writesAtDesk(path: string, name: string, count: number): Promise<string[]> {
  using desk = new StoreDesk({ path, author: `prove-${name}` }, systemClock);
  const outcomes: string[] = [];
  for (let i = 0; i < count; i++) {
    const intent = { kind: "pool", id: null, revision: null, values: { name: `${name}-${i}` } } as const;
    const answer = await desk.answer({
      kind: "change",
      intent,
      terms: { isPreview: false, force: false, reason: "" },
    });
    outcomes.push(
      answer.kind === "done"
        ? "saved"
        : answer.kind === "refused"
        ? `refused ${answer.refusal}`
        : JSON.stringify(answer),
    );
    // Leaves the thread to the others; the desks of real terminals have one each.
    await systemClock.sleep(1, new AbortController().signal);
  }
  return outcomes;
}
