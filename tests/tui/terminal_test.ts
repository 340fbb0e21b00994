/**
 * The terminal UI in a real terminal: typed into, and seen.
 *
 * @module
 */
import { deepEqual, doesNotMatch, equal, match, ok } from "node:assert/strict";
import { ROOT } from "../../scripts/process.ts";
import { runQuery } from "../../src/dns_client.ts";
import { program, testWith } from "../programs.ts";
import { ServeProcess } from "../serve_process.ts";
import type { TmuxTerminal } from "./driver.ts";
import { walkKeys } from "./key_walk.ts";
import { FROM_SOURCES, Place, TUI } from "./place.ts";

/** From an empty database to a service that is answered, and out again. */
async function journey(place: Place, start: string): Promise<void> {
  const { terminal } = place;
  await terminal.press("stty -a > before", "Enter", `${start}`, "Enter");
  await terminal.sees(/There are no pools yet/);
  deepEqual(await terminal.modes(), { alternate: true, cursor: false });

  await terminal.press("c");
  await terminal.sees(/Create a pool/);
  await terminal.type("web");
  await terminal.press("Enter");
  await terminal.sees(/> web .*Saved as generation 1/s);

  await terminal.press("Enter");
  await terminal.sees(/Pool web {2}\[1 Members\].*no members yet/s);
  await terminal.press("c");
  await terminal.sees(/Add a member to web/);
  await terminal.type("192.0.2.300");
  await terminal.press("Enter");
  // What is wrong is said at its field, and what was typed is still there.
  const wrong = await terminal.sees(/! ipAddress must be/);
  match(wrong, /> Address +192\.0\.2\.300/);
  await terminal.press("BSpace", "BSpace", "BSpace");
  await terminal.type("1");
  await terminal.press("Enter");
  await terminal.sees(/> 192\.0\.2\.1 .*Saved as generation 2/s);

  await terminal.press("2");
  await terminal.sees(/no health check/);
  await terminal.press("Enter");
  await terminal.sees(/Set a health check for web/);
  await terminal.press("Enter");
  await terminal.sees(/Type +tcp.*generation 3/s);
  await terminal.press("3", "c");
  await terminal.sees(/Add a geo rule to web/);
  await terminal.press("Down");
  await terminal.type("198.51.100.0/24");
  await terminal.press("Enter");
  await terminal.sees(/> prefix +198\.51\.100\.0\/24 +192\.0\.2\.1:443/);

  await terminal.press("Tab");
  await terminal.sees(/There are no services yet/);
  await terminal.press("c");
  await terminal.type("www.example.org");
  await terminal.press("Down", "Space");
  await terminal.sees(/Choose a pool.*web +1 +unassigned/s);
  await terminal.press("Down", "Enter");
  await terminal.sees(/Pool +web {3}\(Space chooses\)/);
  await terminal.press("Enter");
  await terminal.sees(/> www\.example\.org +web +30 s/);

  await terminal.press("BTab", "Escape");
  await terminal.sees(/> web .*1 .*www\.example\.org/);
  await terminal.press("x");
  const dialogue = await terminal.sees(/What clients get:/);
  for (
    const line of [
      /- pool web/,
      /- member web\/192\.0\.2\.1:443 \(with pool web\)/,
      /192\.0\.2\.1 100 % → no address/,
    ]
  ) {
    match(dialogue, line);
  }
  match(dialogue, /\[ No \]/);
  await terminal.press("Enter");
  await terminal.sees(/> web /);

  await terminal.press("u");
  await terminal.sees(/Undo generation 5\?.*What clients get:/s);
  await terminal.press("y");
  await terminal.sees(/Saved as generation 6/);
  await terminal.press("q");
  await terminal.sees(/^\$$/m);
  await terminal.press("stty -a > after; cmp before after && echo same", "Enter");
  await terminal.sees(/^same$/m);
  deepEqual(await terminal.modes(), { alternate: false, cursor: true });
  const history = place.read(({ history }) =>
    history.page({ limit: 10 }).items.map(({ via, by }) => `${via} ${by}`)
  );
  deepEqual(history, ["rollback ada", "tui ada", "tui ada", "tui ada", "tui ada", "tui ada"]);
}

testWith(
  ["tmux", "bash"],
  "from the sources: from an empty database to a service, and out again",
  async () => {
    await using place = await Place.make();
    await journey(place, `${FROM_SOURCES} --db pleiades.db`);
  },
);

testWith(["pleiades", "tmux", "bash"], "the same from the executable, called gslbctl", async () => {
  await using place = await Place.make();
  await Deno.symlink(program("pleiades")!, `${place.folder}/gslbctl`);
  await journey(place, "./gslbctl -db=pleiades.db");
});

testWith(
  ["tmux", "bash"],
  "every key of the pools does what is seen, in a terminal, and no other does anything",
  async () => {
    // `deno task prove tui keys` goes through all modes.
    ok(await walkKeys(["pools"]) > 25);
  },
);

/** Starts it and waits for its first screen. */
async function started(place: Place, line = `${TUI} --db pleiades.db`): Promise<TmuxTerminal> {
  const { terminal } = place;
  await terminal.press("stty -a > before; " + line + "; echo code $?", "Enter");
  await terminal.sees(/^ Pools {2}(?:\d|none)/m);
  return terminal;
}

/** Back at the shell: the terminal as it was, and the end's exit code. */
async function leftClean(terminal: TmuxTerminal, code: number): Promise<string> {
  await terminal.sees(new RegExp(`^code ${code}$`, "m"));
  deepEqual(await terminal.modes(), { alternate: false, cursor: true });
  await terminal.press("stty -a > after; cmp before after && echo sa''me", "Enter");
  return await terminal.sees(/^same$/m);
}

testWith(["tmux", "bash"], "whatever throws leaves a clean terminal, one line and exit code 1", async () => {
  const script = `${Deno.execPath()} run -A --quiet --no-check --unstable-net ${ROOT}/tests/tui/failing.ts`;
  await Promise.all(["render", "effect", "key", "rejection", "callback"].map(async (what) => {
    await using place = await Place.make({ pools: { web: [] } });
    const terminal = await started(place, `${script} ${what} pleiades.db`);
    await terminal.press("!");
    match(await leftClean(terminal, 1), new RegExp(`^error: failed in ${what}$`, "m"));
  }));
});

testWith(
  ["tmux", "bash"],
  "Ctrl-C, SIGTERM, SIGHUP and Ctrl-Z leave a clean terminal, and fg comes back",
  async () => {
    await using place = await Place.make({ pools: { web: [] } });
    await started(place);
    const { terminal } = place;
    await terminal.press("c");
    await terminal.type("half a na");
    await terminal.press("C-z");
    await terminal.sees(/Stopped/);
    deepEqual(await terminal.modes(), { alternate: false, cursor: true });
    await terminal.press("stty -a > after; cmp before after && echo sa''me", "Enter");
    await terminal.sees(/^same$/m);
    await terminal.press("clear; fg", "Enter");
    await terminal.sees(/Name +half a na/);
    deepEqual(await terminal.modes(), { alternate: true, cursor: false });
    await terminal.press("C-c");
    await terminal.until(async () => !(await terminal.modes()).alternate, "the main screen");
    await terminal.press("clear; echo code $?", "Enter");
    await leftClean(terminal, 0);
    for (const [signal, code] of [["TERM", 143], ["HUP", 129]] as const) {
      await terminal.press("clear", "Enter");
      await started(place);
      const pid = await childOf(await terminal.shellPid());
      Deno.kill(pid, `SIG${signal}`);
      await leftClean(terminal, code);
    }
  },
);

testWith(
  ["tmux", "bash"],
  "with NO_COLOR there is no colour; a key costs a slow line no more than what differs; and a terminal that is closed leaves no process",
  async () => {
    const env = { TERM: "xterm", NO_COLOR: "1" };
    await using place = await Place.make({ pools: { api: [], mail: [], web: [] } }, { env });
    const terminal = await started(place);
    await terminal.sees(/ no node /);
    doesNotMatch(await terminal.painted(), new RegExp(String.raw`\x1b\[[\d;]*(?:3|4|9|10)[0-7]m`));
    const sent = `${place.folder}/sent`;
    await terminal.keep(sent);
    await terminal.press("j");
    await terminal.sees(/^> mail /m);
    // Two rows and the place in the title, of 24 lines of 80 cells.
    await terminal.until(() => sizeOf(sent) > 0, "what was sent");
    ok(sizeOf(sent) < 600, `${sizeOf(sent)} bytes: ${JSON.stringify(Deno.readTextFileSync(sent))}`);
    const pid = await childOf(await terminal.shellPid());
    await terminal.close();
    for (; isAlive(pid););
  },
);

testWith(
  ["tmux", "bash"],
  "a terminal of the type dumb, and none at all, are refused in one line",
  async () => {
    await using place = await Place.make();
    const { terminal } = place;
    await terminal.press(`TERM=dumb ${TUI} --db pleiades.db; echo code $?`, "Enter");
    await terminal.sees(/^error: tui can't draw on a terminal of the type dumb.*code 2$/ms);
    await terminal.press(`clear; ${TUI} --db pleiades.db < /dev/null; echo code $?`, "Enter");
    await terminal.sees(/^error: tui needs a terminal.*code 2$/ms);
  },
);

function sizeOf(path: string): number {
  return Deno.statSync(path).size;
}

/** The only child of a process. */
async function childOf(pid: number): Promise<number> {
  return Number((await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`)).trim());
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s*Z/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
}

/** The addresses that a node answers with. */
async function addressesOf({ dns: server }: ServeProcess, name: string): Promise<string[]> {
  const { message } = await runQuery({
    ...{ server, name, type: 1, class: 1, ecs: null, tcp: false, udpSize: 1232, timeoutMs: 5_000 },
  });
  return message.answers.map(({ data }) => data);
}

testWith(
  ["tmux", "bash"],
  "beside a node: a refused token, health as it changes, events, an explanation, a drain with its preview, and an answer of what was saved",
  async () => {
    await using place = await Place.make({
      pools: { web: ["127.0.0.1", "127.0.0.2"] },
      services: { "www.example.org": "web" },
    });
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const token = "right-token-of-the-node-0123456789";
    await using node = await ServeProcess.start({
      args: ["--db", place.path],
      env: { PLEIADES_API_TOKENS: token },
    });
    const check = {
      type: "tcp",
      port: (listener.addr as Deno.NetAddr).port,
      intervalMs: 250,
      timeoutMs: 200,
      rise: 1,
      fall: 1,
    };
    const response = await fetch(`${node.api}/pools/${place.ids["web"]}/health-check`, {
      method: "PUT",
      headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
      body: JSON.stringify(check),
    });
    equal(response.status, 201, await response.text());
    const { terminal } = place;
    await terminal.resize(120, 40);
    const line = `${TUI} --db pleiades.db --api ${new URL(node.api).origin}`;
    await started(place, `${line} --token wrong`);
    await terminal.sees(/node refuses/);
    await terminal.press("BTab");
    await terminal.sees(/The node at http\S+ refuses: .*oken.*Pools and services can be changed/s);
    await terminal.press("q");
    await leftClean(terminal, 0);

    await terminal.press(`clear; ${line} --token ${token}`, "Enter");
    await terminal.sees(/node: connected/);
    // Nothing listens at the second address.
    await terminal.sees(/> web +round-robin +2 +1 of 2/);
    await terminal.press("Enter");
    await terminal.sees(/127\.0\.0\.2 .* unhealthy .*refused/);
    // Without a column for it the error of the member that is marked stands below.
    await terminal.resize(80, 24);
    await terminal.press("j");
    await terminal.sees(/> 127\.0\.0\.2 .* unhealthy [^]*\n 127\.0\.0\.2: .*refused/);
    await terminal.resize(120, 40);
    await terminal.press("k");
    listener.close();
    await terminal.sees(/127\.0\.0\.1 .* unhealthy /);

    await terminal.press("d");
    await terminal.sees(/Drain 127\.0\.0\.1:443 of web/);
    await terminal.press("Enter");
    await terminal.sees(/> Reason[^]*! reason is required/);
    await terminal.type("disks");
    await terminal.press("Enter");
    await terminal.sees(/Drain 127\.0\.0\.1:443 of web\? In the end:[^]*www\.example\.org/);
    await terminal.press("Escape");
    await terminal.sees(/> Reason +disks/);
    await terminal.press("Escape");
    await terminal.sees(/Leave without saving\?/);
    await terminal.press("y", "Tab");
    await terminal.sees(/> www\.example\.org/);
    await terminal.press("e");
    await terminal.sees(/Explain an answer/);
    await terminal.press("Enter");
    await terminal.sees(/www\.example\.org A at .*generation 2/);
    await terminal.press("Escape", "c");
    await terminal.type("api.example.org");
    await terminal.press("Down", "Space");
    await terminal.sees(/Choose a pool {2}1 of 2.*web +2 +www/s);
    await terminal.press("Down", "Enter", "Enter");
    await terminal.sees(/Saved as generation 3/);
    const hasAnswer = async () => (await addressesOf(node, "api.example.org")).length > 0;
    await terminal.until(hasAnswer, "an answer for what was saved");
    await terminal.press("Tab");
    await terminal.sees(/> 3 .* service created/);
    await terminal.press("Tab");
    await terminal.sees(/NODE +REGION +HEARD +MODEL.*this one answers/s);
    await terminal.sees(/targets +0 healthy, 2 unhealthy/);
    await terminal.sees(/health +127\.0\.0\.1:\d+ .*unhealthy, was healthy/);
    node.kill("SIGKILL");
    await terminal.sees(/no node .*No node at http:.*Nothing listens at/s);
    await terminal.press("BTab", "BTab");
    await terminal.sees(/> www\.example\.org/);
  },
);
