/** @module Tests of single checks, each on a fault that is set up for real. */
import { deepEqual, equal, match } from "node:assert/strict";
import { PortableUdp } from "../../src/dns/udp.ts";
import { parseSocketAddress } from "../../src/ip.ts";
import { certificate } from "../../src/doctor/certificate.ts";
import { type Check, examine, type Examined } from "../../src/doctor/check.ts";
import { clockState, kernelClockState, unsynchronised } from "../../src/doctor/clock_state.ts";
import { Doctor } from "../../src/doctor/doctor.ts";
import { databaseFile } from "../../src/doctor/database_file.ts";
import { namedFiles, secretFiles } from "../../src/doctor/file_modes.ts";
import type { Remark } from "../../src/doctor/finding.ts";
import { geoAge } from "../../src/doctor/geo_age.ts";
import { resolvers } from "../../src/doctor/resolvers.ts";
import { receiveBuffer, transport, workers } from "../../src/doctor/resources.ts";
import { running } from "../../src/doctor/running.ts";
import type { Settings } from "../../src/settings/settings.ts";
import { Database } from "../../src/store/database.ts";
import { Store } from "../../src/store/store.ts";
import { flatRecord, writeMmdb } from "../geo/mmdb_writer.ts";
import { selfSigned } from "../health/certificates.ts";
import { TEST_SETTINGS } from "../test_node.ts";

const NOW = Date.parse("2026-11-21T12:00:00Z");
const DAY_MS = 86_400_000;

function at(settings: Partial<Settings> = {}, rest: Partial<Examined> = {}): Examined {
  return {
    settings: { ...TEST_SETTINGS, ...settings },
    secretFiles: [],
    settingsFile: null,
    clock: { unixMs: () => NOW },
    rights: { capabilities: 0n, openFiles: null },
    node: null,
    ...rest,
  };
}

const NODE = {
  unready: null,
  isAnsweringStreams: true,
  transport: "linux",
  listening: [],
  kernelDrops: 0,
  adminTokenUntilMs: Infinity,
  members: 0,
  targets: [],
} as const;

async function found(check: Check, examined: Examined): Promise<readonly Remark[]> {
  return await check.look(examined, new AbortController().signal);
}

/** Level and message of each. */
async function said(check: Check, examined: Examined): Promise<string[]> {
  return (await found(check, examined)).map(({ level, message }) => `${level}: ${message}`);
}

async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const tls = (certFile: string) => ({ api: { ...TEST_SETTINGS.api, tls: { certFile, keyFile: null } } });

Deno.test("a certificate is found when it is near its end, past it, or not valid yet", async () => {
  await inFolder(async (folder) => {
    const judge = async (fromDays: number, toDays: number) => {
      const { cert } = await selfSigned({
        notBefore: new Date(NOW + fromDays * DAY_MS),
        notAfter: new Date(NOW + toDays * DAY_MS),
      });
      await Deno.writeTextFile(`${folder}/api.crt`, cert);
      return await said(certificate, at(tls(`${folder}/api.crt`)));
    };
    deepEqual(await judge(-60, 22), []);
    deepEqual(await judge(-60, 20.5), ["warning: expires in 20 days, at 2026-12-12T00:00:00.000Z"]);
    deepEqual(await judge(-60, 0.5), ["warning: expires in less than a day, at 2026-11-22T00:00:00.000Z"]);
    deepEqual(await judge(-60, -1), ["problem: expired at 2026-11-20T12:00:00.000Z"]);
    deepEqual(await judge(1, 90), ["problem: isn't valid before 2026-11-22T12:00:00.000Z"]);
  });
});

Deno.test("of a chain the certificate that ends is named", async () => {
  await inFolder(async (folder) => {
    const good = await selfSigned({
      notBefore: new Date(NOW - DAY_MS),
      notAfter: new Date(NOW + 90 * DAY_MS),
    });
    const bad = await selfSigned({ notBefore: new Date(NOW - DAY_MS), notAfter: new Date(NOW + DAY_MS) });
    await Deno.writeTextFile(`${folder}/api.crt`, good.cert + bad.cert);
    const [remark, ...more] = await found(certificate, at(tls(`${folder}/api.crt`)));
    equal(remark!.subject, `${folder}/api.crt, certificate 2`);
    deepEqual(more, []);
  });
});

Deno.test("a secret that others may read is a problem, one of its group a warning, one of its own none", async () => {
  await inFolder(async (folder) => {
    const path = `${folder}/token`;
    await Deno.writeTextFile(path, "canary-secret");
    const judge = async (mode: number) => {
      await Deno.chmod(path, mode);
      return (await found(secretFiles, at({}, { secretFiles: [path] }))).map((
        { level, fix },
      ) => [level, fix]);
    };
    deepEqual(await judge(0o644), [[
      "problem",
      `let the node's user alone read it (chown, chmod o= ${path})`,
    ]]);
    deepEqual(await judge(0o640), [[
      "warning",
      `let the node's user alone read it (chown, chmod g= ${path})`,
    ]]);
    deepEqual(await judge(0o600), []);
    deepEqual(await judge(0o620), [["problem", `take that from them (chmod go-w ${path})`]]);
  });
});

Deno.test("the key of the certificate, the database and what lies beside it count as secrets", async () => {
  await inFolder(async (folder) => {
    const paths = ["key", "node.db", "node.db-wal", "node.db.tables"].map((name) => `${folder}/${name}`);
    for (const path of paths) await Deno.writeTextFile(path, "", { mode: 0o644 });
    for (const path of paths) await Deno.chmod(path, 0o644);
    const settings = {
      api: { ...TEST_SETTINGS.api, tls: { certFile: paths[0]!, keyFile: paths[0]! } },
      database: { path: paths[1]! },
    };
    deepEqual((await found(secretFiles, at(settings))).map(({ subject }) => subject), paths);
  });
});

Deno.test("a geo database is found when it is older than 60 days", async () => {
  await inFolder(async (folder) => {
    const judge = async (days: number) => {
      const bytes = writeMmdb({
        networks: [["192.0.2.0/24", flatRecord({ country: "DE" })]],
        buildEpoch: NOW / 1000 - days * 86_400,
      });
      await Deno.writeFile(`${folder}/city.mmdb`, bytes);
      const geoip = { ...TEST_SETTINGS.geoip, database: [`${folder}/city.mmdb`] };
      return await said(geoAge, at({ geoip }));
    };
    deepEqual(await judge(60), []);
    deepEqual(await judge(61), ["warning: is 61 days old (built on 2026-09-21)"]);
  });
});

Deno.test("a database that was written in the future says that the clock is off", async () => {
  await inFolder(async (folder) => {
    const path = `${folder}/node.db`;
    await Deno.writeTextFile(path, "");
    const clock = { unixMs: () => Date.now() };
    const judge = async (aheadMs: number) => {
      const when = new Date(Date.now() + aheadMs);
      await Deno.utime(path, when, when);
      return (await found(clockState, at({ database: { path } }, { clock }))).filter(({ level }) =>
        level === "problem"
      );
    };
    deepEqual(await judge(60_000), []);
    const [remark] = await judge(3_600_000);
    match(remark!.message, /^it says 20.*Z, and .*node\.db was written at 20.*Z, which is later$/);
  });
});

Deno.test("a clock before this program was installed is found", async () => {
  const [remark] = await found(
    clockState,
    at({}, { clock: { unixMs: () => Date.parse("1990-01-01T00:00:00Z") } }),
  );
  match(remark!.message, /^it says 1990-01-01T00:00:00\.000Z, and /);
});

Deno.test("a daemon that hasn't set the clock is found, and a clock without one isn't judged", async () => {
  const state = kernelClockState();
  match(state, /^(synchronised|unsynchronised|unknown)$/);
  const [remark] = await unsynchronised("unsynchronised", () => Promise.resolve("chronyd"));
  equal(remark!.message, "chronyd runs, and hasn't set it yet");
  deepEqual(await unsynchronised("unsynchronised", () => Promise.resolve(null)), []);
  deepEqual(await unsynchronised("synchronised", () => Promise.resolve("chronyd")), []);
});

Deno.test("a database of another program, a newer one, and a file that is none are found", async () => {
  await inFolder(async (folder) => {
    const path = `${folder}/node.db`;
    const judge = () => said(databaseFile, at({ database: { path } }));
    deepEqual(await judge(), [], "there is none yet");
    Store.open(path).close();
    deepEqual(await judge(), []);
    const change = (pragma: string) => {
      const database = new Database(path);
      database.exec(`PRAGMA journal_mode = DELETE; PRAGMA ${pragma}`);
      database.close();
    };
    change("user_version = 99");
    match((await judge()).join(), /^problem: Cannot open .*: its schema is version 99/);
    change("application_id = 7");
    match((await judge()).join(), /^problem: Cannot use .*: it is a database of another program/);
    await Deno.writeTextFile(path, "once upon a time".repeat(10));
    match((await judge()).join(), /^problem: Cannot open .*: it is not a SQLite database/);
    await Deno.remove(path);
    await Deno.mkdir(path);
    deepEqual(await judge(), ["problem: it is no regular file"]);
  });
});

Deno.test("a look at a database leaves nothing beside it, not even where a log is", async () => {
  await inFolder(async (folder) => {
    const path = `${folder}/node.db`;
    Store.open(path).close();
    await Deno.writeTextFile(`${path}-wal`, "not a log");
    const before = [...Deno.readDirSync(folder)].map(({ name }) => name).toSorted();
    deepEqual(await said(databaseFile, at({ database: { path } })), []);
    deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name).toSorted(), before);
  });
});

Deno.test("a resolver that is silent is found, and how much depends on it", async () => {
  using bound = new PortableUdp().bind({ hostname: "127.0.0.1", port: 0 });
  const server = `127.0.0.1:${bound.port}`;
  const names = { ...TEST_SETTINGS.names, timeout: 100, resolvers: [parseSocketAddress(server)] };
  const [remark] = await found(resolvers, at({ names }));
  equal(remark!.subject, `resolver ${server}`);
  equal(
    remark!.message,
    "doesn't answer: nothing came within 0.1 s; addresses of members by name can't be looked up",
  );
  deepEqual(await found(resolvers, at({ names }, { node: NODE })), [], "a node without members by name");
  equal(
    (await found(resolvers, at({ names }, { node: { ...NODE, targets: ["lb.example.net"] } }))).length,
    1,
  );
});

Deno.test("more workers than processors are found", async () => {
  deepEqual(await found(workers, at({ workers: navigator.hardwareConcurrency })), []);
  equal((await found(workers, at({ workers: navigator.hardwareConcurrency + 1 }))).length, 1);
});

Deno.test("files that went away under a node are found, with the keys that name them", async () => {
  await inFolder(async (folder) => {
    const path = `${folder}/clients.map`;
    const examined = at({ mapFile: { path } }, { node: NODE });
    await Deno.writeTextFile(path, "");
    deepEqual(await found(namedFiles, examined), []);
    await Deno.remove(path);
    const [remark] = await found(namedFiles, examined);
    equal(remark!.subject, path);
    match(remark!.message, /^can't be read any more: there is no such file/);
    match(remark!.fix, /mapFile\.path/);
  });
});

Deno.test("a node that isn't ready, one without streams and one on the slower transport say so", async () => {
  deepEqual(await found(running, at({}, { node: NODE })), []);
  const node = {
    ...NODE,
    unready: "The node is stopping",
    isAnsweringStreams: false,
    transport: "portable",
  } as const;
  deepEqual((await found(running, at({}, { node }))).map(({ subject }) => subject), [
    "readiness",
    "DNS over TCP",
  ]);
  equal((await found(transport, at({}, { node }))).length, Deno.build.os === "linux" ? 1 : 0);
});

Deno.test("a node whose next start would be refused for lack of a token says so two weeks before", async () => {
  const judge = (days: number) =>
    said(running, at({}, { node: { ...NODE, adminTokenUntilMs: NOW + days * DAY_MS } }));
  deepEqual(await judge(14), []);
  deepEqual(await judge(13), [
    "warning: the last one of the scope admin expires at 2026-12-04T12:00:00.000Z: behind that, a start is refused on " +
    "this address",
  ]);
  match((await judge(0)).join(), /^problem: none of the scope admin counts any more/);
});

Deno.test("dropped queries are found only where the buffer is smaller than what was asked for", async () => {
  const isLarge = Number(Deno.readTextFileSync("/proc/sys/net/core/rmem_max")) >= 4 << 20;
  const remarks = await found(receiveBuffer, at({}, { node: { ...NODE, kernelDrops: 12 } }));
  equal(remarks.length, isLarge ? 0 : 1);
});

Deno.test("a named pipe in the place of a file is found, and isn't waited for", async () => {
  await inFolder(async (folder) => {
    const path = `${folder}/pipe`;
    await new Deno.Command("mkfifo", { args: [path] }).output();
    const named = { ...tls(path), mapFile: { path }, geoip: { ...TEST_SETTINGS.geoip, database: [path] } };
    const findings = await examine([namedFiles, certificate, geoAge], at(named, { node: NODE }));
    deepEqual(findings.map(({ check }) => check), ["file", "file", "file", "certificate", "geo-database"]);
    for (const { message } of findings) match(message, /it is no regular file/);
  });
});

Deno.test("a check that hangs isn't begun again, however often a node is asked", async () => {
  let begun = 0;
  const hung = Promise.withResolvers<readonly Remark[]>();
  const hanging: Check = {
    ...worse,
    look: () => {
      begun++;
      return hung.promise;
    },
  };
  const asked = new Doctor(() => at(), [hanging]);
  const [first, same] = await Promise.all([asked.examine(), asked.examine()]);
  equal(first, same);
  equal(first.findings[0]!.message, "couldn't be checked: no result within 2 s");
  const later = asked.examine();
  hung.resolve([]);
  deepEqual((await later).findings, []);
  equal(begun, 1);
});

const never: Check = {
  id: "never",
  looksAt: "a hung disk",
  when: "both",
  look: () => new Promise(() => {}),
};
const broken: Check = {
  id: "broken",
  looksAt: "a closed folder",
  when: "both",
  look: () => {
    throw new Deno.errors.PermissionDenied("no");
  },
};
const worse: Check = {
  id: "worse",
  looksAt: "a thing",
  when: "both",
  look: () => [{ level: "problem", subject: "a thing", message: "is broken", fix: "replace it" }],
};

Deno.test("examine() waits for no check without end, says which can't look, and has the worst first", async () => {
  const findings = await examine([never, broken, worse], at(), 10);
  deepEqual(findings.map(({ check, level, message }) => [check, level, message]), [
    ["worse", "problem", "is broken"],
    ["never", "warning", "couldn't be checked: no result within 0.01 s"],
    ["broken", "warning", "couldn't be checked: this user may not read it"],
  ]);
});
