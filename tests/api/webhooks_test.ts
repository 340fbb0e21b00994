/**
 * Webhooks of a whole node: what the API and the shell show of them, and their test.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { run } from "../../main.ts";
import { capturedTerminal } from "../cli/captured_terminal.ts";
import { Folder } from "../store/folder.ts";
import { call, create, startTestNode, TEST_SETTINGS, until } from "../test_node.ts";
import { Hook } from "../webhooks/hook.ts";

const webhooksOf = (...hooks: Hook[]) => ({
  notify: { webhooks: hooks.map(({ url }) => ({ url, secret: "shared", events: null })) },
});
const hostOf = ({ url }: Hook) => new URL(url).host;

Deno.test("a node tells its webhooks of its start, of changes and, at the next start, of its end", async () => {
  using folder = new Folder();
  await using hook = new Hook();
  const settings = { ...webhooksOf(hook), database: { path: folder.file("node.db") } };
  {
    await using site = await startTestNode(settings);
    await create(site, "/pools?reason=new", { name: "web" });
    await hook.got(3);
    await until(
      () => call(site, "GET", "/webhooks"),
      ({ json }) => (json as { waiting: number }[])[0]!.waiting === 0,
    );
  }
  await using _ = await startTestNode(settings);
  await hook.got(7);
  const told = new Map(hook.posts.map(({ id, body }) => [id, JSON.parse(body)]));
  deepEqual([...told.values()].slice(0, 7).map(({ kind, state }) => state ?? kind), [
    ...["starting", "answering", "commit", "stopping", "stopped", "starting", "answering"],
  ]);
});

Deno.test("the state of webhooks is shown, with no more of an address than its host", async () => {
  await using down = new Hook();
  await using up = new Hook();
  down.answer = () => new Response(null, { status: 500 });
  await using site = await startTestNode(webhooksOf(down, up));
  await down.got(1);
  const { json } = await until(
    () => call(site, "GET", "/webhooks"),
    ({ json }) => {
      const [first, second] = json as { failure: string | null; waiting: number }[];
      return first!.failure !== null && second!.waiting === 0;
    },
  );
  const [first, second] = json as Record<string, unknown>[];
  ok(typeof first!["failingSince"] === "string" && Number(first!["waiting"]) >= 2);
  deepEqual([first!["number"], first!["host"], first!["events"], first!["lastDelivery"], first!["failure"]], [
    ...[1, hostOf(down), null, null, "answered 500"],
  ]);
  match(String(second!["lastDelivery"]), /Z$/);
  ok(!JSON.stringify(json).includes("/hook"));
  const terminal = capturedTerminal();
  equal(await run(["webhooks", "list", "--api", new URL(site.api).origin], terminal), 0);
  const [head, row] = terminal.stdout().split("\n");
  match(head!, /^number {2}host +last delivery +waiting {2}failure$/);
  match(row!, new RegExp(`^1 +${hostOf(down)} +- +\\d+ +answered 500$`));
});

Deno.test("webhooks test posts a test event, to all or to one, and says what became of it", async () => {
  await using down = new Hook();
  await using up = new Hook();
  down.answer = () => new Response(null, { status: 302, headers: { location: up.url } });
  await using site = await startTestNode(webhooksOf(down, up));
  const shell = async (...args: string[]) => {
    const terminal = capturedTerminal();
    const exitCode = await run(["webhooks", "test", ...args, "--api", new URL(site.api).origin], terminal);
    return { exitCode, text: terminal.stdout() + terminal.stderr() };
  };
  const all = await shell();
  equal(all.exitCode, 1);
  match(all.text, /answered 302: redirects aren't followed/);
  const one = await shell(hostOf(up));
  equal(one.exitCode, 0);
  match(one.text, new RegExp(`^2 +${hostOf(up)} +ok +\\d+ ms$`, "m"));
  equal((await shell("2")).exitCode, 0);
  equal(up.posts.filter(({ kind }) => kind === "test").length, 3);
  const none = await shell("hooks.example.com");
  deepEqual([none.exitCode, none.text.includes("No webhook is called")], [1, true]);
});

Deno.test("a node without webhooks says so", async () => {
  await using site = await startTestNode({ notify: { webhooks: [] } });
  deepEqual((await call(site, "GET", "/webhooks")).json, []);
  const { status, json } = await call(site, "POST", "/webhooks/test");
  deepEqual([status, (json as { detail: string }).detail.includes("notify.webhooks")], [404, true]);
});

Deno.test("a receiver that never answers keeps neither a reload nor a stop waiting", async () => {
  await using hook = new Hook();
  hook.answer = () => new Promise(() => {});
  const site = await startTestNode(webhooksOf(hook));
  await hook.got(1);
  await site.node.use({ ...TEST_SETTINGS, notify: { webhooks: [] } });
  deepEqual((await call(site, "GET", "/webhooks")).json, []);
  await site.node.use({ ...TEST_SETTINGS, ...webhooksOf(hook) });
  await create(site, "/pools", { name: "web" });
  await hook.got(2);
  await site[Symbol.asyncDispose]();
});
