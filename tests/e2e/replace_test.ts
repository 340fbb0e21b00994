/**
 * One node, one process: what a second `serve` does while the first one runs, and a third.
 *
 * @module
 */
import assert from "node:assert/strict";
import { oneIsLeft } from "../../src/sockets/listener_control.ts";
import { query } from "../dns/packets.ts";
import { freePort } from "../free_port.ts";
import { testWith } from "../programs.ts";
import { isGood, replace } from "../prove/replace.ts";
import { isGood as isUnnoticed, replaceInCluster } from "../prove/replace_cluster.ts";
import { isGood as isUpgraded, upgrade } from "../prove/upgrade.ts";
import { ServeProcess } from "../serve_process.ts";
import { ServiceManager } from "../service_manager.ts";
import { Folder } from "../store/folder.ts";

Deno.test({
  name: "a second serve on the same database ends within a second, with exit code 1, and names the process",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    using place = new Folder();
    const folder = place.path;
    const args = ["--db", `${folder}/pleiades.db`];
    await using first = await ServeProcess.start({ args });
    await using second = ServeProcess.spawn({ args });
    const { code } = await second.ended();
    assert.equal(code, 1);
    const { message, pid } = JSON.parse(second.lines.at(-1)!);
    assert.match(message, /is the database of a node that is running: process \d+ \(stop it/);
    assert.equal(pid, first.pid);
    // Another database, and the same ports.
    const ports = ["--dns", `127.0.0.1:${first.dns.port}`, "--api", new URL(first.api).host];
    for (const flags of [ports.slice(0, 2), ports.slice(2)]) {
      await using other = ServeProcess.spawn({ args: ["--db", `${folder}/other.db`, ...flags] });
      assert.equal((await other.ended()).code, 1);
      const fault = JSON.parse(other.lines.at(-1)!);
      assert.match(fault.message, /the port is taken/);
      assert.equal(fault.pid, first.pid);
    }
    assert.equal((await fetch(`${first.api}/health`).then((response) => response.json())).status, "ok");
    first.kill("SIGTERM");
    assert.equal((await first.ended()).code, 0);
    await using third = await ServeProcess.start({ args });
    assert.notEqual(third.pid, first.pid);
  },
});

Deno.test({
  name:
    "a service manager hears which process is the main one, settings that don't hold change nothing, and a crash leaves nothing in the way",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    using place = new Folder();
    const folder = place.path;
    await using manager = await ServiceManager.start();
    const args = ["--db", `${folder}/pleiades.db`];
    await using first = await ServeProcess.start({
      args,
      env: { NOTIFY_SOCKET: manager.path, WATCHDOG_USEC: "60000000" },
    });
    assert.match(await manager.next(), /^READY=1\n/);
    assert.equal(await manager.next(), "WATCHDOG=1");

    await Deno.writeTextFile(`${folder}/config.yaml`, "dns:\n  port: 70000\n");
    await using wrong = ServeProcess.spawn({ args: [...args, "--replace", "-c", `${folder}/config.yaml`] });
    assert.equal((await wrong.ended()).code, 1);
    assert.match(wrong.lines.join("\n"), /config\.yaml:2:9: port must be/);
    // What is found only when it starts, after the other one writes no more.
    await using late = ServeProcess.spawn({ args: [...args, "--replace", "--dns", "192.0.2.1:53"] });
    assert.equal((await late.ended()).code, 1);
    const told = JSON.parse(await first.line((line) => line.includes("Not replaced: this process goes on")));
    assert.match(told.reason, /gave up: Cannot listen on 192\.0\.2\.1:53/);
    assert.equal((await fetch(`${first.api}/health`).then((response) => response.json())).status, "ok");

    // Started by hand: it has no word of the manager.
    await using next = await ServeProcess.start({ args: [...args, "--replace"] });
    assert.equal((await first.ended()).code, 0);
    const said = [await manager.next(), await manager.next(), await manager.next()].toSorted();
    // The process before is believed, and the new one where the unit says so.
    assert.match(said[0]!, new RegExp(`^MAINPID=${next.pid}\nREADY=1\n`));
    assert.equal(said[1], `MAINPID=${next.pid}\nWATCHDOG=1`);
    assert.equal(said[2], "WATCHDOG=1");
    assert.deepEqual(next.dns, first.dns);

    next.kill("SIGKILL");
    await next.ended();
    assert((await Deno.lstat(`${folder}/pleiades.db.control`)).isSocket);
    await using last = await ServeProcess.start({ args: [...args, "--replace"] });
    assert(last.lines.some((line) => line.includes("there is none to replace")));
  },
});

Deno.test({
  name:
    "a process is replaced while the one before it still waits for a client, and what either has counted is in the last one's metrics",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    using place = new Folder();
    const folder = place.path;
    const args = ["--db", `${folder}/pleiades.db`];
    await using first = await ServeProcess.start({ args });
    const client = await Deno.connect({ transport: "tcp", ...first.dns });
    const [head, rest] = halvesOf(query("www.example.org", "A"));
    await client.write(head);
    await using second = await ServeProcess.start({ args: [...args, "--replace"] });
    const { hostname, port } = new URL(first.api);
    await oneIsLeft([first.dns, { hostname, port: Number(port) }], new AbortController().signal);
    const isAnswered = await client.write(rest).then(() => client.read(new Uint8Array(1024)), () => null);
    // It waits until its client closes, and from here on for as long as this machine takes.
    signal(first, "SIGSTOP");
    await using third = await ServeProcess.start({
      args: [...args, "--replace"],
      env: { PLEIADES_LOG_LEVEL: "debug" },
    });
    signal(first, "SIGCONT");
    client.close();
    assert.deepEqual([(await first.ended()).code, (await second.ended()).code], [0, 0]);
    await third.line((line) => line.includes("The process before has ended"));
    const metrics = await fetch(new URL("/metrics", third.api)).then((response) => response.text());
    const requests = /^pleiades_dns_requests_total\{[^}]*transport="tcp"[^}]*\} (\d+)$/m.exec(metrics)?.[1];
    // A machine that takes longer than such a client is waited for has it cut off.
    assert.equal(requests, isAnswered ? "1" : "0");
  },
});

Deno.test({
  name:
    "with the portable transport --replace is a restart at the same addresses, and the log says that there is a gap",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    using place = new Folder();
    const folder = place.path;
    const listen = ["--dns", `127.0.0.1:${freePort()}`, "--api", `127.0.0.1:${freePort()}`];
    const args = ["--db", `${folder}/pleiades.db`, ...listen];
    const env = { PLEIADES_DNS_TRANSPORT: "portable" };
    await using first = await ServeProcess.start({ args, env });
    await fetch(`${first.api}/pools`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name: "web" }),
    }).then((response) => response.text());
    // Its settings are checked before the other one is asked to end.
    await using wrong = ServeProcess.spawn({
      args: [...args, "--replace"],
      env: { ...env, PLEIADES_WORKERS: "none" },
    });
    assert.equal((await wrong.ended()).code, 1);
    await using second = await ServeProcess.start({ args: [...args, "--replace"], env });
    assert.equal((await first.ended()).code, 0);
    const { message, reason } = JSON.parse(second.lines.find((line) => line.includes(`"reason"`))!);
    assert.match(message, /^Nothing can be handed over: that process ends first/);
    assert.match(reason, /portable/);
    assert.deepEqual([second.dns, second.api], [first.dns, first.api]);
    const pools = await fetch(`${second.api}/pools`).then((response) => response.text());
    assert.match(pools, /"name":"web"/);
    // The next one finds it as well.
    await using third = await ServeProcess.start({ args: [...args, "--replace"], env });
    assert.equal((await second.ended()).code, 0);
    assert.deepEqual(third.dns, first.dns);
  },
});

testWith(
  ["dnsperf"],
  "replacements lose no query, reset no connection and let no counter fall",
  async () => {
    const report = await replace({
      rounds: 2,
      perSecond: 2_000,
      opening: 5,
      staying: 5,
      intervalMs: 0,
      delayed: 0,
      hasControl: false,
    });
    assert(isGood(report), JSON.stringify(report));
  },
);

Deno.test({
  name:
    "a newer version that is killed before it is ready leaves the older one and its database as they were",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const report = await upgrade(2);
    assert(isUpgraded(report), JSON.stringify(report));
  },
});

testWith(
  ["nats-server"],
  "a node of a cluster is replaced while a model is applied to it, and the other node notices nothing but the model",
  async () => {
    const report = await replaceInCluster({ rounds: 1, services: 500 });
    assert(isUnnoticed(report), JSON.stringify(report));
  },
);

/** A message behind its length, cut in two. */
function halvesOf(message: Uint8Array): [Uint8Array, Uint8Array] {
  const framed = new Uint8Array(2 + message.length);
  new DataView(framed.buffer).setUint16(0, message.length);
  framed.set(message, 2);
  return [framed.slice(0, 5), framed.slice(5)];
}

/** Stops a process where it is, or has it go on; one that has ended needs neither. */
function signal(process: ServeProcess, name: "SIGSTOP" | "SIGCONT"): void {
  try {
    process.kill(name);
  } catch {
    // It was quicker.
  }
}
