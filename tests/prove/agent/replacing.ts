/**
 * A rolling replacement by the command line, of real servers and under a client.
 *
 * @module
 */
import { systemClock } from "../../../src/clock.ts";
import { type Make, NameServer, ZONE } from "../../agent/name_servers.ts";
import { freePort } from "../../free_port.ts";
import { Client } from "./client.ts";
import { AgentCommand } from "./commands.ts";
import { Fleet, recordsAt, seconds, settingsAt, told, until } from "./fleet.ts";
import type { ServerNetworks } from "./networks.ts";

/** Servers that are replaced. */
export const REPLACED = 3;

/** What it is made of. */
export interface ReplacingOptions {
  readonly make: Make;
  readonly networks: ServerNetworks;
  /** The network of its first server; it takes twice {@linkcode REPLACED}. */
  readonly from: number;
  /** With `cert` and `key` of the servers. */
  readonly folder: string;
  /** Seconds that a machine lives on after it was to be destroyed. */
  readonly livesOnS: number;
}

const signal = new AbortController().signal;

/** Three servers go, one after the other, and others take their places. At BIND there is a secondary, which is asked as well. */
export async function isReplaced(
  { make, networks, from, folder, livesOnS }: ReplacingOptions,
): Promise<boolean> {
  const { bridge: hostname } = networks;
  const second = make === "bind" ? { hostname, port: freePort() } : null;
  await using primary = await NameServer.start(make, { hostname, secondary: second });
  await using secondary = second &&
    await NameServer.start(make, { hostname, primary: primary.address }, second.port);
  const servers = [primary.address, ...(secondary === null ? [] : [secondary.address])];
  const fqdn = `${make}.${ZONE}`;
  const names = [{ fqdn, regions: null }];
  await using fleet = new Fleet({ networks, from, folder, names, primary: primary.address });
  const [old, fresh] = [0, REPLACED].map((first) => Array.from({ length: REPLACED }, (_, i) => first + i));
  for (const server of old!) fleet.start(server);
  await until(() => fleet.has(fqdn, ...old!), 60);
  for (const server of servers.slice(1)) await untilAnswers(fqdn, server);

  const orders = `${folder}/destroyed.${make}`;
  Deno.writeTextFileSync(orders, "");
  const config = `${folder}/operator.${make}.yaml`;
  Deno.writeTextFileSync(
    config,
    [
      "log: { level: warn }",
      "agent:",
      ...settingsAt(fqdn, primary.address),
      `  regions: { all: [${hostname.replace(/\.1$/, ".0")}/24] }`,
      `  destroy: { command: [/bin/sh, -c, 'echo "$@" >> ${orders}', destroy] }`,
      "",
    ].join("\n").replace(
      "keyName:",
      `secondaries: [${
        servers.slice(1).map((each) => `"${each.hostname}:${each.port}"`).join(", ")
      }], keyName:`,
    ),
  );
  const startMs = performance.now();
  const client = new Client(fqdn, servers);
  const command = new AgentCommand("rolling-replace", "all", "-c", config);
  const destroyed: string[] = [];
  const ends: Promise<void>[] = [];
  let isOver = false;
  const ended = command.ended().finally(() => isOver = true);
  while (!isOver) {
    for (const address of linesOf(orders).slice(destroyed.length)) {
      const server = old!.find((each) => fleet.address(each) === address)!;
      const spare = REPLACED + destroyed.push(address) - 1;
      ends.push(
        systemClock.sleep(livesOnS * 1000, signal).then(() => fleet.kill(server)).then(() =>
          fleet.start(spare)
        ),
      );
    }
    await systemClock.sleep(50, signal);
  }
  const code = await ended;
  await client[Symbol.asyncDispose]();
  await Promise.all(ends);
  const tookS = (performance.now() - startMs) / 1000;
  const lock = (await fleet.records.read(`_blocked.${fqdn}`, "TXT", signal)).values.length;
  const isGood = code === 0 && client.failed.length === 0 && destroyed.length === REPLACED &&
    new Set(destroyed).size === REPLACED && fleet.has(fqdn, ...fresh!) && lock === 0;
  if (code !== 0) console.log(command.lines.slice(-5).join("\n"));
  for (const failure of client.failed.slice(0, 5)) console.log(`      ${failure}`);
  return told(
    isGood,
    `three servers were replaced at ${make}${
      secondary ? " with a secondary" : ""
    }, each ending ${livesOnS} s late, ` +
      `in ${seconds(tookS)}: ${client.connected} connections, ${client.failed.length} failed, ` +
      `${destroyed.length} destroyed, ${lock === 0 ? "no lock left" : "a lock is left"}`,
  );
}

async function untilAnswers(fqdn: string, server: NameServer["address"]): Promise<void> {
  // Knot and BIND give unsigned reads to everyone.
  const records = recordsAt(server);
  while ((await records.read(fqdn, "A", signal)).values.length < REPLACED) {
    await systemClock.sleep(50, signal);
  }
}

function linesOf(file: string): string[] {
  return Deno.readTextFileSync(file).split("\n").slice(0, -1);
}
