/** @module Tests of what is read from a systemd unit. */
import { deepEqual, equal } from "node:assert/strict";
import { ROOT } from "../../scripts/process.ts";
import { installedUnit, readUnit } from "../../src/doctor/service_unit.ts";

async function unitOf(text: string, files: Readonly<Record<string, string>> = {}) {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, content] of Object.entries(files)) {
      await Deno.mkdir(`${folder}/${name.split("/").slice(0, -1).join("/")}`, { recursive: true });
      await Deno.writeTextFile(`${folder}/${name}`, content);
    }
    await Deno.writeTextFile(`${folder}/pleiades.service`, text.replaceAll("FOLDER", folder));
    return await readUnit(`${folder}/pleiades.service`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("our own unit gives port 53, its database, the capability and its limit", async () => {
  const { env, rights, flags } = await readUnit(`${ROOT}/packaging/pleiades.service`);
  equal(env["PLEIADES_DNS_PORT"], "53");
  equal(env["PLEIADES_DATABASE_PATH"], "/var/lib/pleiades/pleiades.db");
  deepEqual(rights, { capabilities: 1n << 10n, openFiles: 65_536 });
  deepEqual(flags, {});
});

Deno.test("quotes, several variables a line, resets and comments are read as systemd does", async () => {
  const { env } = await unitOf(`
[Unit]
Environment=NOT=this
[Service]
Environment=LOST=1
Environment=
# Environment=COMMENT=1
Environment="A=one two" B=2 'C=a "b"'
Environment=D=1 \\
  E=2
`);
  deepEqual(env, { A: "one two", B: "2", C: 'a "b"', D: "1", E: "2" });
});

Deno.test("files of variables win, and one that isn't there is none", async () => {
  const { env, unreadable } = await unitOf(
    "[Service]\nEnvironment=A=1 B=1\nEnvironmentFile=-FOLDER/more\nEnvironmentFile=-FOLDER/none\n",
    { "more": '# a comment\nA=2\n\nTOKEN="s e c"\n' },
  );
  deepEqual(env, { A: "2", B: "1", TOKEN: "s e c" });
  deepEqual(unreadable, []);
});

Deno.test("drop-ins are added in their order", async () => {
  const { env } = await unitOf("[Service]\nEnvironment=A=1\n", {
    "pleiades.service.d/20-b.conf": "[Service]\nEnvironment=A=3\n",
    "pleiades.service.d/10-a.conf": "[Service]\nEnvironment=A=2\n",
    "pleiades.service.d/readme": "[Service]\nEnvironment=A=4\n",
  });
  equal(env["A"], "3");
});

Deno.test("the flags of its command line are those of serve", async () => {
  const unit = await unitOf(
    "[Service]\nUser=root\nExecStart=/usr/bin/pleiades serve -c /etc/p.yaml --db=/srv/p.db --dns 127.0.0.1:53 --dns [::1]:53\n",
  );
  equal(unit.config, "/etc/p.yaml");
  deepEqual(unit.flags, { db: "/srv/p.db", dns: ["127.0.0.1:53", "[::1]:53"] });
  deepEqual(unit.rights, { capabilities: null, openFiles: null });
});

Deno.test("a machine without a unit, and one whose unit is masked, have none", async () => {
  const folder = await Deno.makeTempDir();
  try {
    equal(await installedUnit([folder]), null);
    await Deno.symlink("/dev/null", `${folder}/pleiades.service`);
    equal(await installedUnit([folder]), null);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
