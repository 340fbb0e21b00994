/**
 * The commands of distribution as processes: as they are started, what they refuse, and what `status` shows.
 *
 * @module
 */
import { deepEqual, equal, match } from "node:assert/strict";
import { settingsFor } from "../../src/distribute/run.ts";
import type { ServiceName } from "../../src/distribute/service.ts";
import { capturedTerminal } from "../cli/captured_terminal.ts";
import { program, testWith } from "../programs.ts";
import { answersOf, GuardedNats, Installation, until, zoneBody } from "./installation.ts";

/** The executable under test. */
function pleiades(args: readonly string[]): Deno.Command {
  return new Deno.Command(program("pleiades")!, {
    args: [...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

async function said(
  args: readonly string[],
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const { code, stdout, stderr } = await pleiades(args).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

testWith(
  ["nats-server", "pdns_server", "pleiades"],
  "the commands keep a zone in step, say so, and end when told to",
  async () => {
    await using nats = await GuardedNats.start();
    await using installation = await Installation.start({
      nats: nats.server,
      secondaries: 1,
      broker: (user) => nats.broker(user),
    });
    const { host, powerDns, axfrPort } = installation.secondaries[0]!;
    const files = new Map<string, string>();
    const own = (name: string) => `service: { host: ${name}, `;
    for (const service of ["api-proxy", "zone-provider", "health-checker"]) {
      files.set(
        service,
        installation.yaml(service, installation.primary).replace("service: { ", own("ns1.example.net")),
      );
    }
    const more = `axfrPrimary: { address: "127.0.0.1:${axfrPort}" }`;
    files.set("secondary-syncer", installation.yaml("ns2", powerDns, more).replace("service: { ", own(host)));
    const file = (service: string) => `${installation.folder}/${service}.yaml`;
    for (const [service, yaml] of files) {
      await Deno.writeTextFile(file(service), `distribute:\n${yaml.replaceAll(/^/gm, "  ")}\n`);
    }
    const children = [...files.keys()].map((service) =>
      pleiades(["distribute", service, "-c", file(service)]).spawn()
    );
    const texts = children.map(() => "");
    const ends = children.map(async ({ stdout, stderr, status }, i) => {
      const drained = stdout.cancel();
      for await (const text of stderr.pipeThrough(new TextDecoderStream())) texts[i]! += text;
      await drained;
      return await status;
    });
    /** Resolves when each of them has logged it. */
    const logged = async (message: RegExp) =>
      void await until(
        () => texts.filter((text) => message.test(text)).length,
        (count) => count === texts.length,
      );
    await until(
      () => installation.api("GET", "/zones").then(({ status }) => status, () => 0),
      (status) => status === 200,
    );
    equal((await installation.api("POST", "/zones", zoneBody("a.test."))).status, 201);
    await until(() => answersOf(powerDns, "a.test", "SOA"), (soa) => soa.length === 1);
    const { code, out } = await said(["distribute", "status", "-c", file("health-checker"), "-o", "json"]);
    const [{ age, ...row }, ...others] = JSON.parse(out);
    deepEqual([code, row, others], [0, {
      ...{ zone: "a.test.", secondary: host, state: "ok", serial: 1, primary: 1, signedUntil: null },
    }, []]);
    match(age, /^\d+[sm]$/);
    await logged(/"message":"Pleiades distributes zones"/);
    // With a file that can't be right the settings before stay.
    await Deno.writeTextFile(file("zone-provider"), "distribute: [1]\n");
    for (const child of children) child.kill("SIGHUP");
    await logged(/"message":"(?:Not reloaded|Reloaded)/);
    await until(
      () => installation.api("POST", "/zones", zoneBody("b.test.")).then(({ status }) => status, () => 0),
      (status) => status === 201 || status === 409,
    );
    await until(() => answersOf(powerDns, "b.test", "SOA"), (soa) => soa.length === 1);
    for (const child of children) child.kill("SIGTERM");
    for (const [i, { code }] of (await Promise.all(ends)).entries()) {
      const text = texts[i]!;
      equal(code, 0, text);
      match(text, i === 1 ? /"message":"Not reloaded/ : /"message":"Reloaded the settings"/);
      match(text, /"message":"Stopped"/);
    }
  },
);

Deno.test("settings that can't be right are refused with the fix", async () => {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-distribute-" });
  try {
    const refused = async (service: ServiceName, yaml: string) => {
      await Deno.writeTextFile(`${folder}/d.yaml`, `distribute: ${yaml}\n`);
      const terminal = capturedTerminal();
      equal(settingsFor(service, { config: `${folder}/d.yaml` }, terminal), null);
      return terminal.stderr().replaceAll(`${folder}/`, "");
    };
    equal(
      await refused("zone-provider", "{}"),
      "error: distribute zone-provider needs distribute.messageBroker.url\n",
    );
    match(
      await refused("zone-provider", '{ messageBroker: { url: "nats://192.0.2.4" } }'),
      /over TLS only \(tls:\/\/…\)/,
    );
    match(
      await refused(
        "health-checker",
        '{ messageBroker: { url: "nats://127.0.0.1" }, powerDNS: { apiToken: x } }',
      ),
      /needs a secondary/,
    );
    match(
      await refused("api-proxy", '{ messageBroker: { url: "nats://u:hunter2@127.0.0.1" } }'),
      /^d\.yaml:1:\d+: url must have no user and no password\n$/,
    );
    match(
      await refused("zone-provider", "{ secondaries: { hosts: [a, b, a] } }"),
      /a stands in the list twice/,
    );
    match(
      await refused(
        "status",
        '{ messageBroker: { url: "nats://127.0.0.1" }, powerDNS: { apiToken: x }, secondaries: { source: consul } }',
      ),
      /needs distribute\.consul\.url, as secondaries\.source is consul/,
    );
    match(
      await refused(
        "api-proxy",
        '{ messageBroker: { url: "nats://127.0.0.1" }, service: { url: "https://a.test", cert: cert.pem } }',
      ),
      /distribute\.service\.cert must be an absolute path/,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
