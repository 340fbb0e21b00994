/**
 * Certificates that are made, kept and renewed, as OpenSSL, Deno and the file system see them.
 *
 * @module
 */
import { deepEqual, equal, match, notEqual, ok, rejects } from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { OwnCertificate, type OwnCertificateTerms } from "../../src/tls/own_certificate.ts";
import { RenewableListener } from "../../src/tls/renewable_listener.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { ManualClock } from "../clock.ts";
import { program, testWith } from "../programs.ts";

const DAY_MS = 86_400_000;
const FILES = ["cacert.pem", "cakey.pem", "cert.pem", "cert.pem.renewed", "key.pem"];

async function withFolder(
  use: (bed: {
    readonly folder: string;
    readonly terms: OwnCertificateTerms;
    readonly clock: ManualClock;
    readonly lines: string[];
    open(host?: string): Promise<OwnCertificate>;
  }) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-tls-" });
  const clock = new ManualClock(Date.now());
  const lines: string[] = [];
  const log = createLogger({ level: "info", format: "json", clock, write: (line) => void lines.push(line) });
  const terms = {
    certFile: `${folder}/cert.pem`,
    keyFile: `${folder}/key.pem`,
    host: "localhost",
    leafMs: 90 * DAY_MS,
  };
  try {
    await use({
      ...{ folder, terms, clock, lines },
      open: (host = "localhost") => OwnCertificate.open({ ...terms, host }, { clock, log }),
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const namesIn = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
const textOf = (file: string) => Deno.readTextFileSync(file);

testWith(
  ["openssl"],
  "OpenSSL accepts what is made, for a name and for an address",
  () =>
    withFolder(async ({ folder, open }) => {
      for (const host of ["localhost", "127.0.0.1", "2001:db8::1"]) {
        for (const name of namesIn(folder)) Deno.removeSync(`${folder}/${name}`);
        await open(host);
        const asked = host === "localhost" ? "-verify_hostname" : "-verify_ip";
        const { success, stdout, stderr } = await new Deno.Command(program("openssl")!, {
          args: [
            "verify",
            "-x509_strict",
            "-CAfile",
            `${folder}/cacert.pem`,
            asked,
            host,
            `${folder}/cert.pem`,
          ],
        }).output();
        ok(success, new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr));
      }
    }),
);

Deno.test("files are their owner's alone whatever the mask is, and a second start finds the same", () =>
  withFolder(async ({ folder, open }) => {
    const mask = Deno.umask(0);
    try {
      await open();
    } finally {
      Deno.umask(mask);
    }
    deepEqual(namesIn(folder), FILES);
    for (const name of FILES) equal((Deno.statSync(`${folder}/${name}`).mode ?? 0) & 0o777, 0o600, name);
    const before = FILES.map((name) => textOf(`${folder}/${name}`));
    await open();
    deepEqual(FILES.map((name) => textOf(`${folder}/${name}`)), before);
  }));

Deno.test("a leaf is renewed when two thirds of its life have passed, by the same authority", () =>
  withFolder(async ({ folder, clock, open }) => {
    const own = await open();
    const authority = textOf(`${folder}/cacert.pem`);
    const first = own.current.cert;
    await clock.advance(59 * DAY_MS);
    equal(await own.renewIfDue(), false);
    await clock.advance(2 * DAY_MS);
    equal(await own.renewIfDue(), true);
    notEqual(own.current.cert, first);
    equal(textOf(`${folder}/cert.pem`), own.current.cert);
    equal(textOf(`${folder}/cacert.pem`), authority);
    ok(Date.parse(new X509Certificate(own.current.cert).validTo) > clock.unixMs() + 89 * DAY_MS);
  }));

Deno.test("what was given is never overwritten, and its end is told of", () =>
  withFolder(async ({ folder, clock, lines, open }) => {
    await open();
    Deno.removeSync(`${folder}/cert.pem.renewed`); // now they are as others would have put them there
    const given = [textOf(`${folder}/cert.pem`), textOf(`${folder}/key.pem`)];
    Deno.chmodSync(`${folder}/key.pem`, 0o644);
    await clock.advance(200 * DAY_MS);
    const own = await open();
    equal(await own.renewIfDue(), false);
    deepEqual([textOf(`${folder}/cert.pem`), textOf(`${folder}/key.pem`)], given);
    ok(lines.some((line) => line.includes("chmod go=")));
    match(lines.at(-1)!, /ends that wasn't made here/);
  }));

Deno.test("a start that was ended between two files is whole the next time", () =>
  withFolder(async ({ folder, terms, clock, open }) => {
    await open();
    const whole = new Map(FILES.map((name) => [name, textOf(`${folder}/${name}`)]));
    const other = await Deno.makeTempDir({ prefix: "pleiades-tls-" });
    const second = await OwnCertificate.open(
      { ...terms, certFile: `${other}/cert.pem`, keyFile: `${other}/key.pem` },
      { clock, log: createLogger({ level: "error", format: "json", clock, write: () => {} }) },
    );
    await Deno.remove(other, { recursive: true });
    // In the order in which they are written: the mark, the key, the certificate.
    const torn: readonly (readonly [string, string | null][])[] = [
      [["cert.pem", null], ["key.pem", null]],
      [["cert.pem", null]],
      [["key.pem", second.current.key]],
    ];
    for (const faults of torn) {
      for (const [name, text] of [...whole, ...faults]) {
        if (text === null) Deno.removeSync(`${folder}/${name}`);
        else Deno.writeTextFileSync(`${folder}/${name}`, text);
      }
      const { current } = await open();
      Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...current }).close();
      deepEqual([textOf(`${folder}/cert.pem`), textOf(`${folder}/key.pem`)], [current.cert, current.key]);
    }
  }));

Deno.test("what can't be used is refused by name", () =>
  withFolder(async ({ folder, terms, clock, open }) => {
    const log = createLogger({ level: "error", format: "json", clock, write: () => {} });
    await rejects(
      OwnCertificate.open({ ...terms, certFile: "cert.pem" }, { clock, log }),
      /must be absolute/,
    );
    await open();
    Deno.removeSync(`${folder}/cert.pem.renewed`);
    const { cert, key } = { cert: textOf(`${folder}/cert.pem`), key: textOf(`${folder}/key.pem`) };
    Deno.removeSync(`${folder}/key.pem`);
    await rejects(open(), /its key .* isn't/);
    equal(textOf(`${folder}/cert.pem`), cert);
    Deno.writeTextFileSync(`${folder}/key.pem`, "nothing");
    await rejects(open(), /can't be served/);
    equal(textOf(`${folder}/key.pem`), "nothing");
    Deno.writeTextFileSync(`${folder}/key.pem`, key);
    Deno.removeSync(`${folder}/cakey.pem`);
    Deno.removeSync(`${folder}/cert.pem`);
    Deno.removeSync(`${folder}/key.pem`);
    await rejects(open(), /cakey.pem isn't/);
  }));

Deno.test("a certificate is replaced under connections, and none of them fails", () =>
  withFolder(async ({ folder, open }) => {
    const own = await open();
    await using listener = new RenewableListener({
      address: { hostname: "127.0.0.1", port: 0 },
      certificate: own.current,
      connectionsMax: 64,
      serve: async (connection) => {
        const buffer = new Uint8Array(16);
        const size = await connection.read(buffer).catch(() => null);
        if (size) await connection.write(buffer.subarray(0, size));
        connection.close();
      },
    });
    const ca = textOf(`${folder}/cacert.pem`);
    const ask = async () => {
      using conn = await Deno.connectTls({
        hostname: "localhost",
        port: listener.address.port,
        caCerts: [ca],
      });
      await conn.write(Uint8Array.of(1, 2, 3));
      const buffer = new Uint8Array(16);
      equal(await conn.read(buffer), 3);
    };
    await ask();
    const asking = Array.from({ length: 60 }, async (_, i) => {
      if (i % 20 === 10) listener.use(own.current);
      await ask();
    });
    await Promise.all(asking);
  }));
