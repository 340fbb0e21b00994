/**
 * `pleiades balancer` and `balstat` as processes: command line, log, report, end.
 *
 * @module
 */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { hostname } from "node:os";
import { run } from "../../main.ts";
import { stateAt } from "../../src/front/balstat.ts";
import { capturedTerminal } from "../cli/captured_terminal.ts";
import { program, testWith } from "../programs.ts";
import { BalancerProcess, commandOf } from "./balancer_process.ts";
import { ByteBackend } from "./byte_backend.ts";
import { UdpClient } from "./manual_front.ts";

for (
  const [what, args, said, env] of [
    ["no directory", [], /-s DIR is required/],
    ["an unknown option", ["-x"], /unknown option '-x'/],
    ["a missing value", ["-s"], /argument missing/],
    ["no IP address", ["-s", "d", "-b", "localhost"], /-b "localhost" is no IP address/],
    ["a port out of range", ["-s", "d", "-p", "65536"], /-p "65536" is no port/],
    ["a port that is no number", ["-s", "d", "-p", "dns"], /-p "dns" is no port/],
    [
      "an unknown level",
      ["-s", "d", "-l", "loud"],
      /-l "loud" is no level; choose one of trace, debug, info/,
    ],
    ["one of the environment", ["-s", "d", "-l", "info"], /LOG_LEVEL "loud" is no level/, {
      LOG_LEVEL: "loud",
    }],
    ["too many arguments", ["-s", "d", "more"], /too many arguments/],
  ] as const
) {
  Deno.test(`balancer refuses ${what} in one line, with exit code 1`, async () => {
    const terminal = capturedTerminal({ ...env });
    equal(await run(["balancer", ...args], terminal), 1);
    equal(terminal.stdout(), "");
    match(terminal.stderr().trim(), /^error: [^\n]*$/);
    match(terminal.stderr(), said);
  });
}

Deno.test("balstat says where it has looked when no balancer answers", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const terminal = capturedTerminal();
    equal(await run(["balstat", "-s", directory], terminal), 1);
    match(
      terminal.stderr(),
      /^error: No balancer answers at .*\/\.balstat: .* \(is "pleiades balancer -s" running there\?\)/,
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test({
  name: "balstat doesn't wait for a balancer that says nothing, and knows what is none",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const directory = await Deno.makeTempDir();
    const path = `${directory}/.balstat`;
    try {
      using listener = Deno.listen({ transport: "unix", path });
      await rejects(stateAt(path, 50), /No balancer answers at .*: it has said nothing for 50 ms/);
      (await listener.accept()).close();
      for (const words of ["", "{}\n", "no JSON\n", '{"backend":{"id":1}}\n']) {
        const answering = listener.accept().then(async (asked) => {
          await asked.write(new TextEncoder().encode(words));
          asked.close();
        });
        await rejects(stateAt(path), /What answers at .* is no balancer/);
        await answering;
      }
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});

testWith(["pleiades"], "balancer and balstat as processes", async () => {
  if (Deno.build.os !== "linux") return;
  const file = program("pleiades");
  const directory = await Deno.makeTempDir();
  try {
    using backend = new ByteBackend(`${directory}/5301`);
    await using balancer = await BalancerProcess.start(directory, {
      executable: file,
      ...{ args: ["-l", "error"], env: { LOG_LEVEL: "debug" } },
    });
    const { time, ...first } = balancer.lines.find(({ msg }) => msg === "listening")!;
    match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    deepEqual(first, {
      ...{ name: "mname-balancer", hostname: hostname(), pid: balancer.pid, level: 30, v: 0 },
      ...{ msg: "listening", address: "127.0.0.1", port: balancer.port, sockets: directory },
    });
    const session = await backend.greet();
    equal((await balancer.line("backend is ok"))["be_id"], 5301);
    using client = new UdpClient(balancer.port);
    await client.send("abcd");
    await session.expect(`020000000100007f${client.portHex}02000000abcd`);
    await session.send(`ea0300000100007f${client.portHex}0100000041`);
    equal(await client.receive(), "41");
    const balstat = async (...args: string[]) => {
      const [name, words] = commandOf(file, ["balstat", "-s", directory, ...args]);
      const { code, stdout, stderr } = await new Deno.Command(name, { args: words }).output();
      equal(code, 0, new TextDecoder().decode(stderr));
      return new TextDecoder().decode(stdout);
    };
    const [table, json, metrics] = await Promise.all([
      ...[balstat(), balstat("-o", "json"), balstat("-o", "prometheus")],
    ]);
    deepEqual(table!.replaceAll(/ {2,}/g, "  ").split("\n"), [
      ...["BACKENDS", "object  id  ok  remotes  path", `backend/5301  5301  1  1  ${directory}/5301`, ""],
      ...["REMOTE PEERS", "object  primary  client", "remote/127.0.0.1  5301  127.0.0.1", ""],
    ]);
    const state = JSON.parse(json!);
    equal(state.balancer.udp.answered, 1);
    deepEqual(Object.keys(state.backends[0].timers), ["heartbeat"]);
    match(metrics!, /^pleiades_balancer_backend_answers_total\{backend="5301"\} 1$/m);
    equal(await balancer.stop(), 0);
    ok(!await exists(`${directory}/.balstat`));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}
