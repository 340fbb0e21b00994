/** @module The licence of a real process: start, tokens that come, go and expire by SIGHUP and by themselves. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { issueToken } from "../../src/license/token.ts";
import { runQuery } from "../../src/dns_client.ts";
import { RCODE, TYPE } from "../../src/wire/record_type.ts";
import { call } from "../rest.ts";
import { pleiades, ServeProcess } from "../serve_process.ts";

const SECRET = "canary-secret-90b1d3f7";
const PAID = { tier: "paid", maxRps: 1000, iat: 0, exp: 253_402_300_799, id: "acme-7" };

interface License {
  readonly state: string;
  readonly reason: string | null;
  readonly limit: number | null;
  readonly id: string | null;
  readonly warnings: readonly string[];
}

/** A process with a secret in a file, settings and a token file that can be written. */
class Bed implements AsyncDisposable {
  readonly folder: string;
  readonly node: ServeProcess;

  private constructor(folder: string, node: ServeProcess) {
    this.folder = folder;
    this.node = node;
  }

  static async start(): Promise<Bed> {
    const folder = await Deno.makeTempDir({ prefix: "pleiades-license-" });
    await Deno.writeTextFile(`${folder}/secret`, `${SECRET}\n`);
    await Deno.writeTextFile(
      `${folder}/p.yaml`,
      "dns: { domain: z.example }\nlicense: { secret: file:secret, key: file:token }\n",
    );
    const args = ["-c", `${folder}/p.yaml`, "--db", `${folder}/p.db`];
    return new Bed(folder, await ServeProcess.start({ args }));
  }

  async reload(token: string | null): Promise<License> {
    if (token === null) await Deno.remove(`${this.folder}/token`);
    else await Deno.writeTextFile(`${this.folder}/token`, `${token}\n`);
    return await this.reloadAsItIs();
  }

  async reloadAsItIs(): Promise<License> {
    const reloaded = this.node.nextLine((line) => /"Reloaded the settings"|"Not reloaded/.test(line));
    this.node.kill("SIGHUP");
    await reloaded;
    return await this.license();
  }

  async license(): Promise<License> {
    const { license } = await call<{ readonly license: License }>(this.node.api, {
      method: "GET",
      path: "/status",
    });
    return license;
  }

  async rcode(): Promise<number> {
    const { message } = await runQuery({
      ...{ server: this.node.dns, name: "www.z.example", type: TYPE.A, class: 1 },
      ...{ ecs: null, tcp: false, udpSize: 1232, timeoutMs: 20_000 },
    });
    return message.rcode;
  }

  async [Symbol.asyncDispose]() {
    await this.node[Symbol.asyncDispose]();
    await Deno.remove(this.folder, { recursive: true });
  }
}

Deno.test("a token counts from the SIGHUP on, stays when its file is gone, and is refused when it is broken", async () => {
  await using bed = await Bed.start();
  const missing = await bed.license();
  deepEqual([missing.state, missing.limit], ["missing", 10]);
  match(missing.reason!, /^the secret's file token can't be read: there is no such file$/);
  const rcodes = new Set<number>();
  while (rcodes.size < 2) rcodes.add(await bed.rcode());
  deepEqual(rcodes, new Set<number>([RCODE.NXDOMAIN, RCODE.REFUSED]));
  match(
    await (await fetch(new URL("/metrics", bed.node.api))).text(),
    /^pleiades_license_refused_total\{.*reason="missing"\} [1-9]/m,
  );

  const token = issueToken(PAID, SECRET);
  const paid = await bed.reload(token);
  deepEqual([paid.state, paid.limit, paid.id, paid.reason], ["valid", 1000, "acme-7", null]);
  for (let i = 0; i < 50; i++) equal(await bed.rcode(), RCODE.NXDOMAIN);

  const gone = await bed.reload(null);
  deepEqual([gone.state, gone.limit], ["valid", 1000]);
  match(gone.warnings.join(), /can't be read, and the one before stays/);
  ok(bed.node.lines.some((line) => /"warn".*and the one before stays/.test(line)));

  const broken = await bed.reload(`${token.slice(0, -2)}AA`);
  deepEqual([broken.state, broken.limit], ["invalid", 10]);

  await Deno.writeTextFile(`${bed.folder}/secret`, "hunter2");
  deepEqual((await bed.reload(token)).state, "invalid", "settings that are refused change nothing");
  ok(
    bed.node.lines.some((line) =>
      /Not reloaded: .*license\.secret must have 16 bytes or more, has 7/.test(line)
    ),
  );

  await Deno.writeTextFile(`${bed.folder}/secret`, SECRET);
  const exp = Math.floor(Date.now() / 1000) + 4;
  equal((await bed.reload(issueToken({ ...PAID, exp }, SECRET))).state, "valid");
  await bed.node.line((line) => /"The license token expired at/.test(line));
  equal((await bed.license()).state, "expired");
  rcodes.clear();
  while (!rcodes.has(RCODE.REFUSED)) rcodes.add(await bed.rcode());

  const off = await offOf(bed);
  deepEqual([off.state, off.limit], ["off", null]);
  for (const part of [SECRET, "hunter2", ...token.split(".")]) {
    deepEqual(bed.node.lines.filter((line) => line.includes(part)), []);
  }
});

async function offOf(bed: Bed): Promise<License> {
  await Deno.writeTextFile(`${bed.folder}/p.yaml`, "dns: { domain: z.example }\n");
  return await bed.reloadAsItIs();
}

Deno.test("a secret that is too short is refused at the start, with the fix", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/p.yaml`, "license:\n  secret: hunter2\n");
    const { code, stderr } = await pleiades(["serve", "-c", `${folder}/p.yaml`]).output();
    equal(code, 1);
    match(
      new TextDecoder().decode(stderr),
      /p\.yaml:2:11: license\.secret must have 16 bytes or more, has 7 \(make one: openssl rand -hex 32\)\n$/,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the environment has the secret and the token under their older names too, and wins over the file", async () => {
  for (const prefix of ["PLEIADES", "GSLB"]) {
    const env = { [`${prefix}_LICENSE_SECRET`]: SECRET, [`${prefix}_LICENSE_KEY`]: issueToken(PAID, SECRET) };
    await using node = await ServeProcess.start({ env, args: ["--db", ":memory:"] });
    const { license } = await call<{ readonly license: License }>(node.api, {
      method: "GET",
      path: "/status",
    });
    deepEqual([license.state, license.id], ["valid", "acme-7"]);
  }
});
