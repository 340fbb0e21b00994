/**
 * Changing a node from the shell: what a plan says comes true, guards refuse with exit code 3, and everything can be undone.
 *
 * @module
 */
import { deepEqual, equal, match } from "node:assert/strict";
import { run } from "../../main.ts";
import { attendedTerminal, type CapturedTerminal, capturedTerminal } from "../cli/captured_terminal.ts";
import { Folder } from "../store/folder.ts";
import { askFor, startTestNode, type TestNode } from "../test_node.ts";

const MODEL = `pools:
  - name: web
    algorithm: weighted-round-robin
    members:
      - { ipAddress: 192.0.2.10, port: 443, weight: 1 }
      - { ipAddress: 192.0.2.20, port: 443, weight: 1 }
services:
  - { domain: www.example.org, pool: web }
`;

/** A node with a model, and a shell beside it. */
class World implements AsyncDisposable {
  readonly #folder = new Folder();
  readonly #node: TestNode;

  private constructor(node: TestNode) {
    this.#node = node;
  }

  static async start(): Promise<World> {
    const world = new World(await startTestNode());
    await world.types("config apply $model --reason first", { model: MODEL });
    return world;
  }

  /** Types a command; `$model` stands for a file with that text. */
  async types(
    line: string,
    { model = MODEL, terminal = capturedTerminal() }: {
      readonly model?: string;
      readonly terminal?: CapturedTerminal;
    } = {},
  ): Promise<{ exitCode: number; stdout: string; stderr: string }> {
    const file = this.#folder.file("model.yaml");
    Deno.writeTextFileSync(file, model);
    const words = line.split(" ").map((word) => word === "$model" ? file : word);
    const exitCode = await run([...words, "--api", this.#node.api], terminal);
    return { exitCode, stdout: terminal.stdout(), stderr: terminal.stderr() };
  }

  /** How often each address comes first in so many answers. */
  async answers(count: number): Promise<Record<string, number>> {
    const first: string[] = [];
    while (first.length < count) first.push((await askFor(this.#node, "www.example.org"))[0] ?? "nothing");
    const counts = Object.groupBy(first, (address) => address);
    return Object.fromEntries(
      Object.entries(counts).map(([address, each]) => [address, each!.length]).sort(),
    );
  }

  async export(): Promise<string> {
    return (await this.types("config export")).stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#node[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

const HEAVIER = MODEL.replace("weight: 1", "weight: 3");

Deno.test("what a plan says of answers is what clients get behind the apply, and a plan changes nothing", async () => {
  await using world = await World.start();
  const before = await world.export();
  const planned = await world.types("plan $model", { model: HEAVIER });
  deepEqual([planned.exitCode, planned.stderr], [0, ""]);
  match(planned.stdout, /^1 member changed\n {2}~ member {2}web\/192\.0\.2\.10:443 {2}weight 1 → 3\n/);
  match(planned.stdout, /\n {6}after {3}192\.0\.2\.10 75 %, 192\.0\.2\.20 25 %\n/);
  match(planned.stdout, /\nTo do it: pleiades config apply /);
  equal(await world.export(), before);
  const applied = await world.types("config apply $model", { model: HEAVIER });
  match(applied.stdout, /\(generation 2\)\nchanged: 1 member\n$/);
  deepEqual(await world.answers(8), { "192.0.2.10": 6, "192.0.2.20": 2 });
  equal(
    (await world.types("plan $model", { model: HEAVIER })).stdout,
    "Nothing would change (still generation 2)\n",
  );
});

const EMPTYING = [
  "pools delete web",
  "services update www.example.org --no-pool",
  "down pool:web --for 1h --reason maintenance --owner alice",
];

for (const command of EMPTYING) {
  Deno.test(`${command} is refused, does nothing, shows its plan, and is done when forced for a reason`, async () => {
    await using world = await World.start();
    const refused = await world.types(command);
    equal(refused.exitCode, 3, refused.stderr);
    match(
      refused.stderr,
      /^error: .*www\.example\.org.*\[empties-live-name\] \(see what it moves with --dry-run;/,
    );
    const dry = await world.types(`${command} --dry-run`);
    equal(dry.exitCode, 0, dry.stderr);
    match(dry.stdout, /\nA guard refuses it:\n[^]*\nTo do it all the same: without --dry-run, with --force /);
    deepEqual(await world.answers(2), { "192.0.2.10": 1, "192.0.2.20": 1 });
    const reason = command.includes("--reason") ? "" : " --reason meant";
    equal((await world.types(`${command} --force${reason}`)).exitCode, 0);
    deepEqual(await world.answers(1), { nothing: 1 });
  });
}

const WITHOUT = "pools:\n  - name: spare\n    members:\n      - { ipAddress: 192.0.2.30, port: 443 }\n" +
  "services:\n  - { domain: www.example.org, pool: spare }\n";

Deno.test("an apply on a terminal names what goes, asks, and does it on yes alone", async () => {
  await using world = await World.start();
  const no = attendedTerminal("n");
  const kept = await world.types("config apply $model", { model: WITHOUT, terminal: no });
  equal(kept.exitCode, 1);
  match(kept.stderr, /- pool {4}web\n {2}- member {2}web\/192\.0\.2\.10:443 {2}with pool web\n/);
  deepEqual(await world.answers(2), { "192.0.2.10": 1, "192.0.2.20": 1 });
  const yes = attendedTerminal("y");
  equal((await world.types("config apply $model", { model: WITHOUT, terminal: yes })).exitCode, 0);
  deepEqual(await world.answers(1), { "192.0.2.30": 1 });
});

Deno.test("an apply that asks nothing names what is gone", async () => {
  await using world = await World.start();
  const { exitCode, stdout } = await world.types("config apply $model", { model: WITHOUT });
  equal(exitCode, 0);
  match(
    stdout,
    /\nremoved: 1 pool, 2 members\nchanged: 1 service\nadded: 1 pool, 1 member\n {2}- pool {4}web\n/,
  );
  match(stdout, /\n {2}- member {2}web\/192\.0\.2\.20:443 {2}with pool web\n$/);
});

Deno.test("history, diff, export of a generation and rollback lead back to the text and the answers of before", async () => {
  await using world = await World.start();
  const before = await world.export();
  await world.types("config apply $model --reason heavier", { model: HEAVIER });
  match((await world.types("diff 1 2")).stdout, /~ member {2}web\/192\.0\.2\.10:443 {2}weight 1 → 3\n$/);
  equal((await world.types("pools delete web --force --reason gone")).exitCode, 0);
  match(
    (await world.types("history")).stdout,
    /^generation {2}when .*\n3 .* api {2}\S+ +gone\n2 .* heavier\n1 .* first\n$/,
  );
  const third = await world.types("history 3");
  match(
    third.stdout,
    /^generation 3 .* api(, by \S+)?: gone\n1 pool, 2 members removed; 1 service changed\n/,
  );
  match(third.stdout, /\n {2}- member {3}web\/192\.0\.2\.10:443 {2}with pool web\n/);
  match(third.stdout, /\n {2}~ service {2}www\.example\.org {5}pool web → none\n/);
  match((await world.types("diff 1")).stdout, /^1 pool, 2 members removed; 1 service changed\n/);
  equal((await world.types("config export --generation 1")).stdout, before);
  match((await world.types("rollback 1 --dry-run")).stdout, /To do it: pleiades config rollback 1\n$/);
  const back = await world.types("rollback --reason sorry");
  deepEqual(back, {
    exitCode: 0,
    stdout:
      "ok: the model is that of generation 2 (generation 4)\nchanged: 1 service\nadded: 1 pool, 2 members\n",
    stderr: "",
  });
  equal((await world.types("diff 2")).stdout, "Nothing differs\n");
  const terminal = attendedTerminal("y");
  equal((await world.types("rollback 1", { terminal })).exitCode, 0);
  equal(await world.export(), before);
  deepEqual(await world.answers(4), { "192.0.2.10": 2, "192.0.2.20": 2 });
  equal((await world.types("history 99")).exitCode, 1);
  equal((await world.types("rollback 99")).exitCode, 1);
});

Deno.test("overrides are in the history, and no rollback takes them away", async () => {
  await using world = await World.start();
  const down = "down web/192.0.2.10 --for 1h --reason disk --owner alice";
  equal((await world.types(down)).exitCode, 0);
  match((await world.types("history 2")).stdout, /\n1 override added\n {2}\+ override {2}down member web/);
  equal((await world.types("config apply $model", { model: HEAVIER })).exitCode, 0);
  equal((await world.types("rollback")).exitCode, 0);
  deepEqual(await world.answers(2), { "192.0.2.20": 2 });
});
