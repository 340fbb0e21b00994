/**
 * The terminal UI under load: `deno task prove tui [POOLS [FLAPPING [SERVICES]]]`; `prove tui small` does the same with a tenth of
 * it, and `prove tui keys [MODE…]` goes through every key of every mode, or of some, in a terminal. `PLEIADES_EXECUTABLE` names an executable to
 * be taken instead of the sources.
 *
 * First a node with 10,000 pools, of which 200 members flap each second: how soon a key is answered on the screen, what an idle
 * terminal UI takes of a core, and that the node reloads nothing because one is open. Then 100,000 services are applied while two
 * terminal UIs are open and 1,000 changes are made beside it, by the API, by one of the terminal UIs and by two more desks at the same
 * file: each is in the history or was refused, and keys go on being answered.
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
import { startThread } from "../../src/thread.ts";
import type { FromStore, ToStore } from "../../src/tui/messages.ts";
import { ServeProcess } from "../serve_process.ts";
import { TmuxTerminal } from "../tui/driver.ts";
import { MODES, walkKeys } from "../tui/key_walk.ts";

/** Milliseconds within which 95 % of the keys are answered: at rest, and during an apply. */
const KEY_P95_MS = 50;
const KEY_P95_APPLY_MS = 100;
/** Milliseconds until the first screen has its rows, the median of so many starts. */
const FIRST_MS = 500;
const STARTS = 5;
/** Share of a core that an idle terminal UI takes at most. */
const IDLE_SHARE = 0.03;
const KEYS = 100;
const IDLE_MS = 20_000;
/** `sysconf(_SC_CLK_TCK)` on Linux. */
const TICKS_PER_SECOND = 100;

/** Runs the proof. */
export async function prove(args: string[]): Promise<boolean> {
  if (args[0] === "keys") {
    const modes = MODES.filter((mode) => args.length === 1 || args.includes(mode));
    console.log(`${await walkKeys(modes)} keys of ${modes.join(", ")}`);
    return true;
  }
  const [pools, flapping, services] = args[0] === "small"
    ? [1_000, 20, 10_000]
    : [10_000, 200, 100_000].map((count, i) => Number(args[i] ?? count));
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/pleiades.db`;
    using flaps = new Flapping(flapping!);
    fill(path, pools!, flaps.ports);
    await using node = await ServeProcess.start({ args: ["--db", path] });
    const proofs = [
      await firstScreens(node, path),
      await underFlapping(node, path, flaps),
      await underApply(node, path, services!),
    ];
    return proofs.every((isGood) => isGood);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function firstScreens(node: ServeProcess, path: string): Promise<boolean> {
  const times: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    const { terminal, firstMs } = await open(node, path);
    await terminal[Symbol.asyncDispose]();
    times.push(firstMs);
  }
  console.log(
    `first screen ${times.map((time) => time.toFixed(0)).join(", ")} ms (bar ${FIRST_MS} for the median)`,
  );
  return at(0.5, times) <= FIRST_MS;
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

function at(share: number, times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length * share)] ?? NaN;
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
  const { terminal, pid } = await open(node, path);
  await using _terminal = terminal;
  const times = await keyTimes(terminal, KEYS);
  const ticks = await cpuTicks(pid);
  await systemClock.sleep(IDLE_MS, new AbortController().signal);
  const share = (await cpuTicks(pid) - ticks) / TICKS_PER_SECOND / (IDLE_MS / 1000);
  const reloaded = await reloads(node) - before;
  console.log(
    `key p50 ${at(0.5, times).toFixed(0)} ms, p95 ${
      at(0.95, times).toFixed(0)
    } ms of ${times.length} (bar ${KEY_P95_MS})`,
  );
  console.log(
    `idle ${(share * 100).toFixed(1)} % of a core (bar ${
      IDLE_SHARE * 100
    }); ${reloaded} reloads of the node (bar 0)`,
  );
  return at(0.95, times) <= KEY_P95_MS && share <= IDLE_SHARE && reloaded === 0;
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
    writesAtDesk(path, "one", 290),
    writesAtDesk(path, "two", 290),
    writesTyped(second, 20),
  ]);
  const times = await keyTimes(terminal, 10_000, () => isOver);
  const applied = await applying;
  const outcomes = await writing;
  const screens = [await terminal.screen(), await second.screen()].join("\n");
  using store = Store.open(path);
  const kept = createdPools(store);
  let isWhole = true;
  for (const [i, who] of ["api", "one", "two", "typed"].entries()) {
    const found = outcomes[i]!;
    const saved = found.filter((outcome) => outcome === "saved").length;
    const odd = found.filter((outcome) => outcome !== "saved" && !outcome.startsWith("refused"));
    const inHistory = kept.filter((name) => name.startsWith(`${who}-`)).length;
    console.log(
      `${who}: ${found.length} writes, ${saved} saved, ${inHistory} in the history, ${odd.length} odd ${
        odd[0] ?? ""
      }`,
    );
    isWhole &&= saved === inHistory && odd.length === 0;
  }
  console.log(`apply: ${applied.status} ${applied.text.slice(0, 120)}`);
  console.log(
    `key p50 ${at(0.5, times).toFixed(0)} ms, p95 ${
      at(0.95, times).toFixed(0)
    } ms of ${times.length} during it (bar ${KEY_P95_APPLY_MS})`,
  );
  const isLocked = /SQLITE_BUSY|database is locked/i.test(screens);
  return applied.status === 200 && at(0.95, times) <= KEY_P95_APPLY_MS && isWhole && !isLocked;
}

/** Names of all pools that commits one by one have created. */
function createdPools({ history }: Store): string[] {
  const names: string[] = [];
  for (const { generation } of history.page({ limit: 10_000 }).items) {
    for (const { kind, before, after } of history.listed(generation)) {
      if (kind === "pool" && before === null) names.push(String((after as { name: string }).name));
    }
  }
  return names;
}

/** By hand, in a terminal UI that is open. */
async function writesTyped(terminal: TmuxTerminal, count: number): Promise<string[]> {
  const outcomes: string[] = [];
  for (let i = 0; i < count; i++) {
    await terminal.press("c");
    await terminal.sees(/Create a pool/);
    await terminal.type(`typed-${i}`);
    await terminal.press("Enter");
    const screen = await terminal.sees(/Saved as generation|^ +! |^ ! /m);
    if (/Saved as generation/.test(screen)) outcomes.push("saved");
    else {
      outcomes.push(`refused ${/! .*/.exec(screen)?.[0]}`);
      await terminal.press("Escape", "y");
    }
    // So that the next word about a save is that of the next one.
    await terminal.press("Tab", "BTab");
    await terminal.until((each) => !/Saved as generation|Create a pool/.test(each), "the list of pools");
  }
  return outcomes;
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

/** At a desk on a thread of its own, as a terminal UI has one. */
async function writesAtDesk(path: string, name: string, count: number): Promise<string[]> {
  const thread = startThread("tui", `prove ${name}`);
  try {
    const opening = { path, author: `prove-${name}`, settings: { config: undefined, env: {} } };
    await told(thread, { kind: "open", opening }, (message) => message.kind === "opened");
    const outcomes: string[] = [];
    for (let i = 0; i < count; i++) {
      const intent = { kind: "pool", id: null, revision: null, values: { name: `${name}-${i}` } } as const;
      const terms = { isPreview: false, force: false, reason: "" };
      const question = { kind: "change", intent, terms } as const;
      const { answer } = await told(
        thread,
        { kind: "ask", number: i, question },
        (message) => message.kind === "answer" && message.number === i,
      ) as Extract<FromStore, { kind: "answer" }>;
      outcomes.push(
        answer.kind === "done"
          ? "saved"
          : answer.kind === "refused"
          ? `refused ${answer.refusal}`
          : JSON.stringify(answer),
      );
    }
    return outcomes;
  } finally {
    thread.terminate();
  }
}

/** What a thread says when it is asked. */
function told(
  thread: Worker,
  question: ToStore,
  isWanted: (message: FromStore) => boolean,
): Promise<FromStore> {
  const { promise, resolve, reject } = Promise.withResolvers<FromStore>();
  thread.onmessage = ({ data }: MessageEvent<FromStore>) => {
    if (isWanted(data)) resolve(data);
  };
  thread.onerror = (event) => reject(new Error(event.message));
  thread.postMessage(question);
  return promise;
}
