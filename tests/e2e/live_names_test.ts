/**
 * @module Tests of every way to leave a live name without an address, each through every way in: the REST API, the shell
 * and the apply of a whole model.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { run } from "../../main.ts";
import { capturedTerminal } from "../cli/captured_terminal.ts";
import { startTestNode, type TestNode } from "../test_node.ts";
import { MODEL, type Way, WAYS } from "./emptying_ways.ts";

Deno.test("every way to leave a live name without an address is judged alike by shell and apply", async (test) => {
  await using node = await startTestNode();
  for (const way of WAYS) {
    const { what, shell, model, refused, because, impossible } = way;
    const outcome = impossible
      ? "is impossible"
      : refused === null
      ? `is possible: ${because}`
      : "is refused, and can be forced";
    await test.step(`to ${what} ${outcome}`, async () => {
      if (shell !== "") {
        await reset(node);
        await tried(node, shell.split(" "), way);
      }
      if (model) {
        await reset(node);
        await using file = await written(model(MODEL));
        await tried(node, ["config", "apply", file.path], way);
      }
    });
  }
});

Deno.test("over REST a guard's refusal is 409, names the guard and what is hit, and a reason forces it", async () => {
  await using node = await startTestNode();
  await reset(node);
  const [pool] = await (await fetch(`${node.api}/pools?limit=1000`)).json().then((pools) =>
    pools.filter(({ name }: { name: string }) => name === "web")
  );
  const url = `${node.api}/pools/${pool.id}`;
  const refused = await fetch(url, { method: "DELETE" });
  equal(refused.status, 409);
  const { guards: [{ guard, message, names }] } = await refused.json();
  deepEqual([guard, names], ["empties-live-name", ["www.example.com"]]);
  match(message, /would lose the pool that answers: www\.example\.com/);
  equal((await (await fetch(url)).json()).name, "web");
  const unexplained = await fetch(`${url}?force=true`, { method: "DELETE" });
  match((await unexplained.json()).detail, /asks for a reason/);
  const plan = await (await fetch(`${url}?dryRun=true`, { method: "DELETE" })).json();
  deepEqual(plan.refusals.map((it: { guard: string }) => it.guard), ["empties-live-name"]);
  deepEqual(plan.answers.differences, [{
    name: "www.example.com",
    type: "A",
    clients: "everyone",
    share: 1,
    before: [{ address: "192.0.2.1", share: 1 }],
    after: [{ address: "192.0.2.99", share: 1 }],
    moved: 1,
  }]);
  const forced = await fetch(`${url}?force=true&reason=drill`, { method: "DELETE" });
  equal(forced.status, 204);
  equal((await (await fetch(`${node.api}/history`)).json())[0].reason, "drill");
});

/** Tries a command as it is, and forced where it was refused; what is refused changes nothing. */
async function tried(
  node: TestNode,
  words: readonly string[],
  { refused, impossible }: Way,
): Promise<void> {
  const before = await generation(node);
  const first = await pleiades(node, words);
  if (impossible) {
    const forced = await pleiades(node, [...words, "--force", "--reason", "drill"]);
    for (const { exitCode, stdout } of [first, forced]) {
      equal(exitCode, 1);
      match(stdout, impossible);
    }
    equal(await generation(node), before);
    return;
  }
  if (refused === null) {
    equal(first.exitCode, 0, first.stderr);
    ok(await generation(node) > before);
    return;
  }
  equal(first.exitCode, 3, `${words.join(" ")}: ${first.stdout}${first.stderr}`);
  for (const name of refused) ok(first.stderr.includes(name), first.stderr);
  equal(await generation(node), before);
  const reasoned = words.includes("--reason") ? [] : ["--reason", "drill"];
  const forced = await pleiades(node, [...words, "--force", ...reasoned]);
  equal(forced.exitCode, 0, forced.stderr);
  ok(await generation(node) > before);
}

/** Makes the model the one that each way begins with, and ends all overrides. */
async function reset(node: TestNode): Promise<void> {
  for (const { id } of await (await fetch(`${node.api}/overrides`)).json()) {
    await (await fetch(`${node.api}/overrides/${id}`, { method: "DELETE" })).body?.cancel();
  }
  await using file = await written(MODEL);
  const { exitCode, stderr } = await pleiades(node, [
    ...["config", "apply", file.path, "--force", "--reason", "reset"],
  ]);
  equal(exitCode, 0, stderr);
}

async function generation(node: TestNode): Promise<number> {
  return (await (await fetch(`${node.api}/status`)).json()).generation;
}

async function pleiades(node: TestNode, words: readonly string[]) {
  const terminal = capturedTerminal({ PLEIADES_API_URL: node.api.replace("/api/v1", "") });
  const exitCode = await run([...words], terminal);
  return { exitCode, stdout: terminal.stdout(), stderr: terminal.stderr() };
}

async function written(text: string): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempFile({ suffix: ".yaml" });
  await Deno.writeTextFile(path, text);
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path) };
}
