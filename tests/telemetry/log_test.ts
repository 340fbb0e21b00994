/**
 * The logger's two formats, and that nothing inside a value can break out of its line.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createLogger, describeError, type LoggerOptions } from "../../src/telemetry/log.ts";
import { ManualClock } from "../clock.ts";

Deno.test("a JSON line carries time, level, message and fields", () => {
  const { log, lines } = logger({ format: "json" });
  log.info("started", { port: 53, listen: ["0.0.0.0"], absent: undefined });
  assert.deepEqual(lines, [
    '{"time":"2026-01-01T00:00:00.000Z","level":"info","message":"started","port":53,"listen":["0.0.0.0"]}',
  ]);
});

Deno.test("a level hides what is below it", () => {
  const { log, lines } = logger({ format: "json", level: "warn" });
  log.debug("a");
  log.info("b");
  log.warn("c");
  log.error("d");
  assert.deepEqual(lines.map((line) => JSON.parse(line).message), ["c", "d"]);
});

Deno.test("with() adds fields to each line, and a call's own fields win", () => {
  const { log, lines } = logger({ format: "json" });
  const child = log.with({ part: "health", pool: "web" }).with({ pool: "api" });
  child.info("x", { member: "a" });
  const { part, pool, member } = JSON.parse(lines[0]!);
  assert.deepEqual({ part, pool, member }, { part: "health", pool: "api", member: "a" });
});

Deno.test("an error is rendered with its causes", () => {
  const { log, lines } = logger({ format: "json" });
  const cause = new TypeError("not a function");
  log.error("broken", { error: new Error("cannot load", { cause }) });
  assert.equal(JSON.parse(lines[0]!).error, "cannot load: TypeError: not a function");
  assert.equal(JSON.parse(lines[0]!).errorStack, undefined);
});

Deno.test("at level debug an error brings its stack", () => {
  const { log, lines } = logger({ format: "json", level: "debug" });
  log.warn("broken", { error: new RangeError("too big") });
  assert.match(JSON.parse(lines[0]!).errorStack, /^RangeError: too big\n\s+at /);
});

Deno.test("describeError() ends on a cycle of causes and takes what isn't an error", () => {
  const error = new Error("loop");
  error.cause = error;
  assert.equal(describeError(error), "loop: loop: loop: loop: loop");
  assert.equal(describeError("plain"), "plain");
  assert.equal(describeError(new Error("outer", { cause: 42 })), "outer: 42");
});

Deno.test("text is short and aligned, without colour where nobody watches", () => {
  const { log, lines } = logger({ format: "text" });
  log.warn("member is down", { member: "192.0.2.1:80", error: "connection refused", empty: "" });
  log.info("ready");
  assert.deepEqual(lines, [
    '00:00:00.000 WARN  member is down                       member=192.0.2.1:80 error="connection refused" empty=""',
    "00:00:00.000 INFO  ready",
  ]);
});

Deno.test("auto is text on a terminal and JSON elsewhere", () => {
  const watched = logger({ format: "auto", isTerminal: true });
  watched.log.info("x");
  assert.ok(watched.lines[0]!.includes("INFO"));
  const piped = logger({ format: "auto", isTerminal: false });
  piped.log.info("x");
  assert.equal(JSON.parse(piped.lines[0]!).message, "x");
});

Deno.test("colour appears only on a terminal without NO_COLOR, and never in JSON", () => {
  const cases: [Partial<LoggerOptions>, boolean][] = [
    [{ format: "text", isTerminal: true, noColor: false }, true],
    [{ format: "text", isTerminal: true, noColor: true }, false],
    [{ format: "text", isTerminal: false, noColor: false }, false],
    [{ format: "json", isTerminal: true, noColor: false }, false],
  ];
  for (const [options, coloured] of cases) {
    const { log, lines } = logger(options);
    log.info("x", { a: 1 });
    assert.equal(lines[0]!.includes("\x1b["), coloured, JSON.stringify(options));
  }
});

Deno.test("control characters in messages and values can't forge lines or move the cursor", () => {
  for (const format of ["text", "json"] as const) {
    const { log, lines } = logger({ format, isTerminal: true, noColor: true });
    log.info("a\nb\x1b[2J\x9b", { value: "c\r\nd", list: ["e\nf"], "na\nme": 1 });
    assert.equal(lines.length, 1);
    assert.equal([...lines[0]!].some((char) => char < " " || (char > "~" && char < "\xa0")), false, lines[0]);
  }
});

Deno.test("values that JSON can't hold are written all the same", () => {
  const { log, lines } = logger({ format: "json" });
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  log.info("odd", { big: 1n, nested: { error: new Error("inner") } });
  log.info("cyclic", { cycle });
  assert.equal(JSON.parse(lines[0]!).big, "1");
  assert.equal(JSON.parse(lines[0]!).nested.error, "inner");
  assert.equal(JSON.parse(lines[1]!).message, "cyclic");
});

function logger(options: Partial<LoggerOptions>) {
  const lines: string[] = [];
  const log = createLogger({
    level: "info",
    format: "json",
    clock: new ManualClock(),
    write: (line) => lines.push(line),
    isTerminal: false,
    ...options,
  });
  return { log, lines };
}
