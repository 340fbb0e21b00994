/**
 * Holds `src/wire/` against a peer: unbound reads the same zone file and serves what it understood.
 *
 * @module
 */

import assert from "node:assert/strict";
import { runQuery } from "../../src/dns_client.ts";
import { wireToName } from "../../src/wire/name.ts";
import { formatRdata } from "../../src/wire/rdata.ts";
import { CLASS, TYPE, typeName } from "../../src/wire/record_type.ts";
import { checkZone, parseZoneFile } from "../../src/wire/zone_file.ts";
import { program, testWith } from "../programs.ts";
import { freePort } from "../free_port.ts";

const ZONE_FILE = new URL("../fixtures/wire/every_type.zone", import.meta.url).pathname;
const ORIGIN = "example.com";

testWith(["unbound"], "unbound reads the same bytes and TTLs from a zone file with every type", async () => {
  const { records, problems } = parseZoneFile(Deno.readTextFileSync(ZONE_FILE), {
    origin: ORIGIN,
    defaultTtl: 60,
  });
  assert.deepEqual([...problems, ...checkZone(ORIGIN, records).problems], []);
  // What is delegated is answered with a referral, without the DS record and the glue in the answer section.
  const answerable = records.filter(({ owner }) => !/^(ns\.)?del\./.test(wireToName(owner)));
  assert.ok(answerable.length > 30);
  await using unbound = await Unbound.start();
  for (const { owner, type, ttl, rdata } of answerable) {
    const name = wireToName(owner);
    const { message } = await runQuery({
      server: { hostname: "127.0.0.1", port: unbound.port },
      name,
      type,
      class: CLASS.IN,
      ecs: null,
      tcp: true,
      udpSize: 1232,
      timeoutMs: 5000,
    });
    const served = message.answers.map((answer) => `${answer.ttl} ${answer.rdata.toHex()}`);
    const ours = `${ttl} ${rdata.toHex()}`;
    assert.ok(
      served.includes(ours),
      `${name} ${typeName(type)} ${formatRdata(type, rdata)}: ${ours} not in ${served}`,
    );
  }
});

testWith(["unbound"], "decodeMessage() reads a referral with its DS record and glue", async () => {
  await using unbound = await Unbound.start();
  const { message } = await runQuery({
    server: { hostname: "127.0.0.1", port: unbound.port },
    name: "www.del.example.com",
    type: TYPE.A,
    class: CLASS.IN,
    ecs: null,
    tcp: false,
    udpSize: 1232,
    timeoutMs: 5000,
  });
  assert.deepEqual(message.authorities.map(({ name, data }) => [name, data])[0], [
    "del.example.com",
    "ns.del.example.com.",
  ]);
  assert.deepEqual(message.additionals.map(({ name, data }) => [name, data]), [[
    "ns.del.example.com",
    "192.0.2.9",
  ]]);
});

/** unbound as an authoritative server of the zone file, on a free port. */
class Unbound implements AsyncDisposable {
  readonly port: number;
  readonly #child: Deno.ChildProcess;
  readonly #folder: string;

  private constructor(port: number, child: Deno.ChildProcess, folder: string) {
    this.port = port;
    this.#child = child;
    this.#folder = folder;
  }

  static async start(): Promise<Unbound> {
    const folder = await Deno.makeTempDir();
    const port = freePort();
    await Deno.writeTextFile(`${folder}/unbound.conf`, configuration(folder, port));
    const child = new Deno.Command(program("unbound")!, {
      args: ["-d", "-c", `${folder}/unbound.conf`],
      stdout: "null",
      stderr: "piped",
    }).spawn();
    let log = "";
    const decoder = new TextDecoder();
    // unbound says so once its sockets are open; an end of the log before that is a failed start.
    for await (const chunk of child.stderr) {
      log += decoder.decode(chunk, { stream: true });
      if (log.includes("start of service")) return new Unbound(port, child, folder);
    }
    throw new Error(`unbound did not start:\n${log}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.status;
    await Deno.remove(this.#folder, { recursive: true });
  }
}

function configuration(folder: string, port: number): string {
  return `server:
  interface: 127.0.0.1
  port: ${port}
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  logfile: ""
  directory: "${folder}"
  module-config: "iterator"
remote-control:
  control-enable: no
auth-zone:
  name: "${ORIGIN}."
  zonefile: "${ZONE_FILE}"
  for-upstream: no
`;
}
