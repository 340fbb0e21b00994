/**
 * The first ten minutes with Pleiades, typed as they stand: from a settings file to a node that is changed, killed,
 * started again, reloaded and stopped. Once from the executable; from the sources, where each command takes several times as long,
 * up to a node that answers.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { delimiter } from "node:path";
import { runQuery } from "../../src/dns_client.ts";
import { CLASS, TYPE } from "../../src/wire/record_type.ts";
import { pause } from "../clock.ts";
import { program, testWith } from "../programs.ts";
import { ServeProcess } from "../serve_process.ts";
import { freePort } from "../free_port.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;

/** How `pleiades` is had: the sources or the executable. */
const WAYS = [
  { way: "the sources", needs: ["sh"], executable: null, isWhole: program("pleiades") === null },
  { way: "the executable", needs: ["sh", "pleiades"], executable: program("pleiades"), isWhole: true },
] as const;

/** A person at a shell in an empty folder, where `pleiades` is a command. */
class Person implements AsyncDisposable {
  readonly #folder: string;
  readonly #env: Record<string, string>;
  readonly executable: string | null;

  private constructor(folder: string, executable: string | null, api: number) {
    this.#folder = folder;
    this.executable = executable;
    const path = `${folder}/bin${delimiter}${Deno.env.get("PATH") ?? ""}`;
    this.#env = { PATH: path, NO_COLOR: "1", PLEIADES_API_URL: `http://127.0.0.1:${api}` };
  }

  static async arrive(executable: string | null, api: number): Promise<Person> {
    const folder = await Deno.makeTempDir();
    await Deno.mkdir(`${folder}/bin`);
    const words = executable ? [executable] : [Deno.execPath(), "run", "-A", "--unstable-net", MAIN];
    await Deno.writeTextFile(`${folder}/bin/pleiades`, `#!/bin/sh\nexec ${words.join(" ")} "$@"\n`, {
      mode: 0o755,
    });
    return new Person(folder, executable, api);
  }

  get settingsFile(): string {
    return `${this.#folder}/pleiades.yaml`;
  }

  /** Types a line and reads what comes of it. */
  async types(line: string): Promise<{ code: number; stdout: string; stderr: string }> {
    const { code, stdout, stderr } = await new Deno.Command("sh", {
      args: ["-c", line],
      cwd: this.#folder,
      env: this.#env,
      stdin: "null",
    }).output();
    return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
  }

  /** Types a line that has to work, and gives what it printed. */
  async does(line: string): Promise<string> {
    const { code, stdout, stderr } = await this.types(line);
    equal(code, 0, `${line}\n${stdout}${stderr}`);
    return stdout;
  }

  /** Replaces a text in the settings file that has to be there. */
  async edits(before: string | RegExp, after: string): Promise<void> {
    const text = await Deno.readTextFile(this.settingsFile);
    const edited = text.replace(before, after);
    ok(edited !== text, `there is no ${before} in the settings file`);
    await Deno.writeTextFile(this.settingsFile, edited);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** Ports that the settings file names. */
interface Ports {
  readonly dns: number;
  readonly api: number;
}

/** `serve -c pleiades.yaml`; the flags repeat what the file says. */
function serve(person: Person, { dns, api }: Ports): Promise<ServeProcess> {
  return ServeProcess.start({
    executable: person.executable,
    args: ["-c", person.settingsFile, "--dns", `127.0.0.1:${dns}`, "--api", `127.0.0.1:${api}`],
  });
}

async function ask(port: number, name: string, timeoutMs = 20_000): Promise<string[]> {
  const { message } = await runQuery({
    server: { hostname: "127.0.0.1", port },
    name,
    type: TYPE.A,
    class: CLASS.IN,
    ecs: null,
    tcp: false,
    udpSize: 1232,
    timeoutMs,
  });
  return message.answers.map(({ data }) => data);
}

/** What `curl -d JSON URL` does. */
async function post(url: string, body: unknown): Promise<{ status: number; body: Refusal }> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

/** Those fields of an answer of the API that are looked at here. */
interface Refusal {
  readonly id?: string;
  readonly errors?: readonly { readonly pointer: string; readonly message: string }[];
}

interface MemberRow {
  readonly ipAddress: string;
  readonly health: {
    readonly state: string;
    readonly since: number | string | null;
    readonly checkedAt: unknown;
  };
}

async function membersOf(api: string): Promise<MemberRow[]> {
  const [pool] = await (await fetch(`${api}/pools`)).json();
  return await (await fetch(`${api}/pools/${pool.id}/members`)).json();
}

/** Asks for the members until one has this state. */
async function untilState(api: string, ipAddress: string, state: string): Promise<MemberRow> {
  for (let turn = 0, untilMs = performance.now() + 60_000;; turn++) {
    const member = (await membersOf(api)).find((each) => each.ipAddress === ipAddress)!;
    if (member.health.state === state) return member;
    ok(performance.now() < untilMs, `${ipAddress} is ${member.health.state}, not ${state}`);
    await pause(turn);
  }
}

for (const { way, needs, executable, isWhole } of WAYS) {
  testWith(needs, `minutes 5 to 9 go as promised, typed with ${way}`, async (test) => {
    const further = (name: string, fn: () => Promise<void>) => test.step({ name, fn, ignore: !isWhole });
    const ports = { dns: freePort(), api: freePort() };
    await using person = await Person.arrive(executable, ports.api);
    await using stack = new AsyncDisposableStack();

    await test.step("config init, an edit, a typing error, and what validate says of it", async () => {
      await person.does("pleiades config init > pleiades.yaml");
      await person.edits(/listenAddr: \[.*\]/, "listenAddr: [ 127.0.0.1 ]");
      await person.edits("port: 5353", `port: ${ports.dns}`);
      await person.edits("port: 8080", `port: ${ports.api}`);
      await person.edits(/# path: .*pleiades\.db/, "path: pleiades.db");
      match(await person.does("pleiades config validate pleiades.yaml"), /^ok: /);

      await person.edits(/# checkInterval: /, "intervall: ");
      const text = await Deno.readTextFile(person.settingsFile);
      const line = text.slice(0, text.indexOf("intervall")).split("\n").length;
      const { code, stdout, stderr } = await person.types("pleiades config validate pleiades.yaml");
      equal(code, 1);
      equal(stdout + stderr, `pleiades.yaml:${line}:3: Unknown key "intervall" (did you mean "interval"?)\n`);
      await person.edits("intervall", "checkInterval");
      match(
        await person.does("pleiades config validate pleiades.yaml"),
        /^ok: \d+ pools, \d+ members, \d+ services/,
      );
    });

    let node: ServeProcess;
    await test.step("serve says what listens, what is served and what is lacking", async () => {
      const startMs = performance.now();
      node = stack.use(await serve(person, ports));
      console.log(`    serve is up after ${Math.round(performance.now() - startMs)} ms`);
      await node.line((line) => line.includes("Hint: ") && line.includes("pleiades pools create"));
      await node.line((line) => line.includes("Hint: ") && line.includes("token"));
      const news = node.lines.filter((line) => !line.includes("Hint: "));
      ok(news.length <= 4, `a wall of lines:\n${node.lines.join("\n")}`);
    });

    await test.step("each call answers with what was made, and the next query shows it", async () => {
      match(await person.does("pleiades pools create web"), /\bweb\b.*round-robin/);
      match(
        await person.does("pleiades members create --pool web --ip 127.0.0.1 --port 443"),
        /127\.0\.0\.1/,
      );
      match(await person.does("pleiades services create www.example.com --pool web"), /www\.example\.com/);
      const line = `pleiades query @127.0.0.1:${ports.dns} www.example.com -o short`;
      equal(await person.does(line), "127.0.0.1\n");

      const pools = await (await fetch(`${node.api}/pools`)).json();
      const made = await post(`${node.api}/pools/${pools[0].id}/members`, {
        ipAddress: "127.0.0.2",
        port: 443,
      });
      equal(made.status, 201);
      const answers = [await ask(ports.dns, "www.example.com"), await ask(ports.dns, "www.example.com")]
        .flat();
      deepEqual(answers.sort(), ["127.0.0.1", "127.0.0.2"]);
    });

    await further("what is wrong is refused with the field named, and changes nothing", async () => {
      const before = await person.does("pleiades config export");
      const pools = await (await fetch(`${node.api}/pools`)).json();
      const port = await post(`${node.api}/pools/${pools[0].id}/members`, {
        ipAddress: "127.0.0.3",
        port: 70000,
      });
      equal(port.status, 400);
      deepEqual(port.body.errors!.map(({ pointer }) => pointer), ["/port"]);
      const twin = await post(`${node.api}/services`, { domain: "WWW.example.com.", poolId: null });
      equal(twin.status, 409);
      deepEqual(twin.body.errors!.map(({ pointer }) => pointer), ["/domain"]);
      for (
        const [line, told] of [
          [
            "pleiades members create --pool web --ip 127.0.0.3 --port 70000",
            /^error: .*\bport\b.*70000.*\n$/,
          ],
          [
            "pleiades services create www.example.com --pool web",
            /^error: .*"www\.example\.com" exists.*\n$/,
          ],
          ["pleiades services create a.example.com --pool wbe", /^error: .*\bwbe\b.*\n$/],
        ] as const
      ) {
        const { code, stdout, stderr } = await person.types(line);
        equal(code, 1, line);
        equal(stdout, "", line);
        match(stderr, told);
      }
      equal(await person.does("pleiades config export"), before);
    });

    await further("/metrics speaks of what was done, in names that can be guessed", async () => {
      const response = await fetch(`http://127.0.0.1:${ports.api}/metrics`);
      match(response.headers.get("content-type")!, /^text\/plain/);
      const text = await response.text();
      match(text, /^pleiades_dns_requests_total\{[^}]*transport="udp"\} 3$/m);
      match(text, /^pleiades_api_requests_total\{[^}]*status="409"\} 2$/m);
      match(text, /^pleiades_pool_members_total\{[^}]*\} 2$/m);
    });

    await further("after kill -9 everything is there again, verdicts too", async () => {
      using alive = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      // 127.0.0.2 has nobody on that port. The interval is longer than the test, so what is known after the start
      // was known before it.
      const check = `--type tcp --port ${alive.addr.port} --interval 10m --timeout 1m`;
      await person.does(`pleiades health-checks set web ${check}`);
      const before = [
        await untilState(node.api, "127.0.0.1", "healthy"),
        await untilState(node.api, "127.0.0.2", "unhealthy"),
      ].map(({ health }) => health.since);
      const model = await person.does("pleiades config export");

      node.kill("SIGKILL");
      await node.ended();
      const startMs = performance.now();
      const starting = serve(person, ports);
      const first = await firstAnswer(ports.dns, "www.example.com");
      console.log(`    first answer ${Math.round(performance.now() - startMs)} ms after the start`);
      node = stack.use(await starting);
      deepEqual(first, ["127.0.0.1"], "the member that was down is answered");
      const after = (await membersOf(node.api)).map(({ health }) => health.since);
      deepEqual(after, before, "the verdicts are others than before");
      equal(await person.does("pleiades config export"), model);
    });

    await further("SIGHUP takes over all of a file or nothing, and says where it is wrong", async () => {
      await person.edits(/# endpoints: .*/, "endpoints: [ 127.0.0.80 ]");
      await person.edits("# port: 443", "port: 443");
      await person.edits(/# domain: \[.*\]/, "domain: [ example.net ]");
      await reload(node, "Reloaded");
      deepEqual(await ask(ports.dns, "anything.example.net"), ["127.0.0.80"]);

      await person.edits("endpoints: [ 127.0.0.80 ]", "endpoints: [ 127.0.0.81 ]");
      await person.edits("domain: [ example.net ]", "domain: [ example.net, example..org ]");
      const text = await Deno.readTextFile(person.settingsFile);
      const upTo = text.slice(0, text.indexOf("example..org")).split("\n");
      const told = await reload(node, "Not reloaded");
      const place = `pleiades.yaml:${upTo.length}:${upTo.at(-1)!.length + 1}: `;
      ok(told.includes(place), `${told}\nnames no ${place}`);
      match(told, /"level":"error"/);
      deepEqual(await ask(ports.dns, "anything.example.net"), ["127.0.0.80"], "half of it was taken over");
      deepEqual(await ask(ports.dns, "www.example.com"), ["127.0.0.1"]);

      await person.edits("domain: [ example.net, example..org ]", "domain: [ example.net ]");
      await person.edits("\ndns:\n", "\nnode: { latitude: 50.1 }\ndns:\n");
      match(await reload(node, "Not reloaded"), /node\.latitude isn't in this version; remove it/);
      deepEqual(
        await ask(ports.dns, "anything.example.net"),
        ["127.0.0.80"],
        "it was taken over all the same",
      );
    });

    await test.step("SIGTERM ends it with 0 in time", async () => {
      const startMs = performance.now();
      node.kill("SIGTERM");
      equal((await node.ended()).code, 0);
      // A second on a quiet machine; a service manager has more patience than this.
      ok(performance.now() - startMs < 30_000, "it took longer than 30 s");
    });
  });
}

/** Sends SIGHUP and gives the line that says what came of it, which has to begin with the word. */
async function reload(node: ServeProcess, outcome: "Reloaded" | "Not reloaded"): Promise<string> {
  const line = node.nextLine((text) => /"message":"(Reloaded|Not reloaded)/.test(text));
  node.kill("SIGHUP");
  const told = await line;
  ok(told.includes(`"message":"${outcome}`), told);
  return told;
}

/** Asks until somebody answers; what is asked too early is lost. */
async function firstAnswer(port: number, name: string): Promise<string[]> {
  for (let turn = 0, untilMs = performance.now() + 60_000;; turn++) {
    try {
      return await ask(port, name, 200);
    } catch (error) {
      if (performance.now() > untilMs) throw error;
      await pause(turn);
    }
  }
}
