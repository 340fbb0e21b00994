/**
 * The parts of a node: made in order, disposed of in reverse, also when one of them fails to start.
 *
 * @module
 */
import { deepEqual, equal, rejects } from "node:assert/strict";
import { partOf, type Start } from "../../src/node/part.ts";
import { PARTS } from "../../src/node/parts.ts";
import { ask, startTestNode, TEST_SETTINGS } from "../test_node.ts";
import { RCODE } from "../../src/wire/record_type.ts";
import { freePort } from "../free_port.ts";

/** Starts of parts that note what becomes of them. */
function noting(noted: string[]): (name: string) => Start {
  return (name) => () => {
    noted.push(`make ${name}`);
    return partOf(name, { end: () => void noted.push(`end ${name}`) });
  };
}

Deno.test("parts are made in the order of the list and disposed of in reverse; one that is off isn't", async () => {
  const noted: string[] = [];
  const note = noting(noted);
  const off: Start = () => Promise.resolve(null);
  const node = await startTestNode({}, { parts: [note("a"), off, ...PARTS, note("b")] });
  deepEqual(noted, ["make a", "make b"]);
  await node[Symbol.asyncDispose]();
  deepEqual(noted, ["make a", "make b", "end b", "end a"]);
});

Deno.test("a part that can't be made ends the start, and closes all that was opened", async () => {
  const noted: string[] = [];
  const note = noting(noted);
  const port = freePort();
  const settings = { api: { ...TEST_SETTINGS.api, port } };
  const fails: Start = () => Promise.reject(new Error("on purpose"));
  await rejects(startTestNode(settings, { parts: [note("a"), ...PARTS, fails, note("b")] }), /on purpose/);
  deepEqual(noted, ["make a", "end a"]);
  await using again = await startTestNode(settings);
  equal(again.node.api?.port, port);
});

Deno.test("a start whose DNS address is taken closes all that was opened", async () => {
  const noted: string[] = [];
  const note = noting(noted);
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const dns = { ...TEST_SETTINGS.dns, port: taken.addr.port };
  await rejects(startTestNode({ dns }, { parts: [note("a"), ...PARTS] }), Deno.errors.AddrInUse);
  deepEqual(noted, ["make a", "end a"]);
});

Deno.test("a part finds what answers are made of, and answers don't need a single part", async () => {
  await using node = await startTestNode({}, { parts: [] });
  equal((await ask(node, "www.example.com")).rcode, RCODE.REFUSED);
  const status = await (await fetch(`${node.api}/status`)).json();
  equal(status.pools.down, 0);
});
