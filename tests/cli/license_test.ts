/** @module Tests of `pleiades license`: a token by flags or by Go's flags, judged with the secret of a file or of settings. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { run } from "../../main.ts";
import { issueToken, readToken } from "../../src/license/token.ts";
import { capturedTerminal } from "./captured_terminal.ts";

const SECRET = "a-secret-of-these-tests";
const OLD_SECRET = "an-older-secret-of-these";
const EXPIRED = issueToken({ tier: "paid", maxRps: 1000, iat: 0, exp: 1, id: "acme-7" }, SECRET);

/** A folder with a secret, settings that name it and another one, and whatever else. */
async function folderWith(files: Readonly<Record<string, string>> = {}) {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-license-" });
  const all = {
    secret: `${SECRET}\n`,
    "p.yaml": `license: { secret: ["file:secret", "${OLD_SECRET}"], key: "file:token" }\n`,
    ...files,
  };
  for (const [name, text] of Object.entries(all)) await Deno.writeTextFile(`${folder}/${name}`, text);
  return { folder, [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }) };
}

async function said(...args: string[]) {
  const terminal = capturedTerminal();
  const exitCode = await run(args, terminal);
  return { exitCode, out: terminal.stdout(), err: terminal.stderr() };
}

for (const dashes of ["--", "-"]) {
  Deno.test(`issue prints a token that verify takes, with ${dashes}flags`, async () => {
    await using bed = await folderWith();
    const secret = `${bed.folder}/secret`;
    const flags = [`${dashes}tier`, "paid", `${dashes}rps`, "1000", `${dashes}expire-in`, "720h"];
    const { exitCode, out } = await said("license", "issue", ...flags, "--secret-file", secret);
    equal(exitCode, 0);
    match(out, /^[\w-]+\.[\w-]+\n$/);
    const { license } = readToken(out.trim(), [SECRET]);
    equal(license!.maxRps, 1000);
    equal(license!.exp - license!.iat, 720 * 3600);
    ok(Math.abs(license!.iat - Date.now() / 1000) < 60);
    const verified = await said("license", "verify", out.trim(), "--secret-file", secret);
    equal(verified.exitCode, 0);
    match(verified.out, /^valid: tier paid, 1000 answers a second, from \S+Z to \S+Z, id [\w-]{36}\n$/);
  });
}

Deno.test("the settings' first secret signs, each of them verifies, and their own token is what verify means", async () => {
  await using bed = await folderWith({ token: "" });
  const config = ["-c", `${bed.folder}/p.yaml`];
  const issued = await said(
    "license",
    "issue",
    "--tier",
    "free",
    "--expire-in",
    "1h",
    "--id",
    "x",
    ...config,
  );
  deepEqual(readToken(issued.out.trim(), [SECRET]).license?.id, "x");
  await Deno.writeTextFile(`${bed.folder}/token`, issued.out);
  match((await said("license", "verify", ...config)).out, /^valid: tier free, 50 answers a second/);
  const old = issueToken({ tier: "free", maxRps: 7, iat: 0, exp: 1e10, id: "old" }, OLD_SECRET);
  match((await said("license", "verify", old, ...config)).out, /^valid: tier free, 7 answers a second/);
});

Deno.test("verify ends with 1 for what doesn't count, and -o json says the same", async () => {
  await using bed = await folderWith();
  const verify = (...args: string[]) =>
    said("license", "verify", ...args, "--secret-file", `${bed.folder}/secret`);
  deepEqual(await verify(EXPIRED), {
    exitCode: 1,
    out:
      "expired: tier paid, 1000 answers a second, from 1970-01-01T00:00:00Z to 1970-01-01T00:00:01Z, id acme-7\n",
    err: "",
  });
  deepEqual(JSON.parse((await verify(EXPIRED, "-o", "json")).out), {
    ...{ state: "expired", reason: null, tier: "paid", maxRps: 1000, iat: 0, exp: 1, id: "acme-7" },
  });
  const cut = await verify(EXPIRED.slice(0, -1), "-o", "json");
  equal(cut.exitCode, 1);
  match(JSON.parse(cut.out).reason, /^the signature/);
});

const WRONG: ReadonlyArray<readonly [args: string, exitCode: number, message: RegExp]> = [
  ["issue --tier paid --expire-in 1h", 2, /maxRps is missing, which only the tier free can do without/],
  ["issue --tier paid --rps 0 --expire-in 1h", 2, /whole number of answers a second, 1 or more/],
  ["issue --tier paid --rps 2000000000 --expire-in 1h", 2, /maxRps must be/],
  ["issue --tier paid --rps 1 --expire-in 720", 2, /must be a duration/],
  ["issue --tier paid --rps 1 --expire-in 10ms", 2, /must be 1s or more/],
  ["issue --rps 1 --expire-in 1h", 2, /required option '--tier/],
  ["verify", 2, /Which token\?/],
];

for (const [args, exitCode, message] of WRONG) {
  Deno.test(`license ${args} says what is wrong`, async () => {
    await using bed = await folderWith();
    const told = await said("license", ...args.split(" "), "--secret-file", `${bed.folder}/secret`);
    equal(told.exitCode, exitCode, told.err);
    match(told.err, message);
    equal(told.out, "");
  });
}

Deno.test("a secret that is missing, short or unreadable is named with the fix, and never shown", async () => {
  await using bed = await folderWith({ short: "hunter2", "none.yaml": "log: {}\n" });
  const issue = (...args: string[]) =>
    said("license", "issue", "--tier", "free", "--expire-in", "1h", ...args);
  for (
    const [args, message] of [
      [
        ["--secret-file", `${bed.folder}/short`],
        /short must have 16 bytes or more, has 7 \(make one: openssl/,
      ],
      [
        ["--secret-file", `${bed.folder}/nope`],
        /Cannot read the secret's file .*nope: there is no such file/,
      ],
      [["-c", `${bed.folder}/none.yaml`], /No secret is set \(license\.secret/],
    ] as const
  ) {
    const { exitCode, out, err } = await issue(...args);
    equal(exitCode, 1);
    match(err, message);
    ok(!(out + err).includes("hunter2"));
  }
});
