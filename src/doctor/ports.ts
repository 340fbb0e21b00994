/**
 * Checks of what a node would listen on: ports that are taken, and by which program; a stub resolver in the way; addresses
 * that this machine hasn't got; ports that need a privilege.
 *
 * A node that is started binds `::` first and lets it take IPv4, too, and does without it where IPv6 is off.
 *
 * @module
 */
import { formatSocketAddress, isLoopback, parseIp, type SocketAddress } from "../ip.ts";
import type { Settings } from "../settings/settings.ts";
import type { Check } from "./check.ts";
import type { Remark } from "./finding.ts";
import {
  collide,
  type Holder,
  holdersOf,
  type KernelSocket,
  kernelSockets,
  type Protocol,
  userName,
} from "./kernel_sockets.ts";
import { CAPABILITY, kernelNumber, mayDo } from "./rights.ts";

/** A socket that the settings want. */
interface WantedSocket {
  readonly protocols: readonly Protocol[];
  readonly address: SocketAddress;
  /** The key of the settings that chooses the address. */
  readonly addressKey: string;
  /** The key that chooses the port. */
  readonly portKey: string;
}

/** What a node listens on by its settings; port 0 is any free one, which is never taken. */
function wantedSockets({ dns, api, metrics }: Settings): WantedSocket[] {
  const listen = dns.listen.length > 0
    ? dns.listen
    : dns.listenAddr.map((hostname) => ({ hostname, port: dns.port }));
  const addressKey = "dns.listenAddr";
  const wanted: WantedSocket[] = listen.map((address) => ({
    ...{ protocols: ["UDP", "TCP"], address, addressKey, portKey: "dns.port" },
  }));
  for (const [portKey, port] of encryptedPorts(dns)) {
    const hostnames = [...new Set(listen.map(({ hostname }) => hostname))];
    wanted.push(...hostnames.map((hostname) => ({
      ...{ protocols: ["TCP" as const], address: { hostname, port }, addressKey, portKey },
    })));
  }
  if (api.enabled) {
    const address = { hostname: api.listenAddr, port: api.port };
    wanted.push({ protocols: ["TCP"], address, addressKey: "api.listenAddr", portKey: "api.port" });
  }
  if (metrics.enablePrometheus && metrics.listenAddr !== null) {
    const address = { hostname: metrics.listenAddr, port: metrics.port };
    wanted.push({ protocols: ["TCP"], address, addressKey: "metrics.listenAddr", portKey: "metrics.port" });
  }
  return wanted.filter(({ address }) => address.port !== 0);
}

/** Ports of encrypted DNS, by their keys; none where there is no certificate. */
export function encryptedPorts({ tls, https }: Settings["dns"]): (readonly [key: string, port: number])[] {
  if (tls.certFile === null) return [];
  const all = [["dns.tls.port", tls.port], ["dns.https.port", https.port]] as const;
  return all.flatMap(([key, port]) => port === null ? [] : [[key, port] as const]);
}

/** Sockets of one program on one port that we want. */
interface Conflict {
  readonly holder: Holder | null;
  readonly uid: number;
  /** The user of that number. */
  readonly user: string;
  readonly held: readonly KernelSocket[];
  readonly wanted: WantedSocket;
}

async function conflicts(settings: Settings, signal: AbortSignal): Promise<Conflict[]> {
  const pairs = kernelSockets().flatMap((held) => {
    const wanted = wantedSockets(settings).find(({ protocols, address }) =>
      protocols.includes(held.protocol) && collide(address, held.address)
    );
    return wanted === undefined ? [] : [{ held, wanted }];
  });
  if (pairs.length === 0) return [];
  const holders = await holdersOf(new Set(pairs.map(({ held }) => held.inode)), signal);
  const groups = Map.groupBy(
    pairs,
    ({ held }) =>
      `${holders.get(held.inode)?.pid ?? `user ${held.uid}`} ${held.address.port} ${
        isStub(held, holders.get(held.inode))
      }`,
  );
  return await Promise.all([...groups.values()].map(async (group) => {
    const { held: { inode, uid }, wanted } = group[0]!;
    const holder = holders.get(inode) ?? null;
    return { holder, uid, user: await userName(uid), held: group.map(({ held }) => held), wanted };
  }));
}

/**
 * Whether one process holds all that the settings want, and is no other program as far as it can be seen: a node that runs
 * by them, even one whose API can't be asked.
 */
export async function isServed(settings: Settings, signal: AbortSignal): Promise<boolean> {
  const wanted = wantedSockets(settings);
  const found = await conflicts(settings, signal);
  const [first] = found;
  if (first === undefined || found.some(({ holder, uid }) => !isSame({ holder, uid }, first))) return false;
  const held = found.flatMap((conflict) => conflict.held);
  const isAll = wanted.every(({ protocols, address }) =>
    protocols.every((protocol) =>
      held.some((socket) => socket.protocol === protocol && collide(socket.address, address))
    )
  );
  if (!isAll) return false;
  // Of a process that can't be looked at, the API's port tells: no other DNS server has one there.
  return first.holder === null ? settings.api.enabled : PROGRAMS.includes(first.holder.program);
}

function isSame(a: Pick<Conflict, "holder" | "uid">, b: Pick<Conflict, "holder" | "uid">): boolean {
  return a.holder?.pid === b.holder?.pid && a.uid === b.uid;
}

/** What a node's process is called: the executable, or the sources run by Deno. */
const PROGRAMS = ["pleiades", "deno"];

/** The addresses of systemd-resolved's stub (systemd-resolved.service(8)). */
const STUB_ADDRESSES = ["127.0.0.53", "127.0.0.54"];
const DNS_PORT = 53;

/** Whether it is a resolver for this machine alone: it holds loopback addresses, and keeps the rest from being had. */
function isStub({ address }: KernelSocket, holder: Holder | undefined | null): boolean {
  if (address.port !== DNS_PORT) return false;
  return STUB_ADDRESSES.includes(address.hostname) || holder?.program.startsWith("systemd-resolve") === true;
}

/** Ports that other programs hold. */
export const ports: Check = {
  id: "port",
  looksAt: "ports to listen on",
  when: "before a start",
  look: async ({ settings }, signal) =>
    (await conflicts(settings, signal)).filter(({ held, holder }) => !isStub(held[0]!, holder)).map(
      (conflict) => {
        const { portKey, addressKey } = conflict.wanted;
        const { program = "it" } = conflict.holder ?? {};
        return {
          ...remarkOn(conflict),
          fix:
            `stop ${program}, or choose another port (${portKey}) or addresses that ${program} leaves free ` +
            `(${addressKey})`,
        };
      },
    ),
};

/** The machine's own stub resolver on port 53. */
export const stubResolver: Check = {
  id: "stub-resolver",
  looksAt: "the machine's stub resolver",
  when: "before a start",
  look: async ({ settings }, signal) =>
    (await conflicts(settings, signal)).filter(({ held, holder }) => isStub(held[0]!, holder)).map((
      conflict,
    ) => ({
      ...remarkOn(conflict),
      fix:
        `name the addresses to answer on (${conflict.wanted.addressKey}: [${
          ownAddresses().join(", ")
        }]), or ` +
        "switch the stub off (DNSStubListener=no in /etc/systemd/resolved.conf, " +
        "then systemctl restart systemd-resolved)",
    })),
};

function remarkOn({ holder, user, held, wanted }: Conflict): Remark {
  const protocols = [...new Set(held.map(({ protocol }) => protocol))].toSorted().toReversed();
  const places = [...new Set(held.map(({ address }) => formatSocketAddress(address)))];
  const who = holder === null
    ? `a process of user ${user}, which only root can tell more of`
    : `${holder.program} (process ${holder.pid})`;
  return {
    level: "problem",
    subject: `port ${wanted.address.port}, ${protocols.join(" and ")}`,
    message: `taken by ${who}, on ${places.join(", ")}`,
    fix: "",
  };
}

/** What this machine can be reached at; an example where there is nothing but loopback. */
function ownAddresses(): string[] {
  const own = Deno.networkInterfaces().map(({ address }) => address)
    .filter((address) => !isLoopback(parseIp(address)!) && !address.startsWith("fe80:"));
  return own.length > 0 ? own : ["192.0.2.53"];
}

/** Addresses that this machine hasn't got. */
export const addresses: Check = {
  id: "address",
  looksAt: "addresses to listen on",
  when: "before a start",
  look: ({ settings }) => {
    const own = new Set(Deno.networkInterfaces().map(({ address }) => address));
    const missing = wantedSockets(settings).filter(({ address: { hostname } }) => {
      const bytes = parseIp(hostname)!;
      // All of 127.0.0.0/8 is there, with one address named.
      return bytes.some((byte) => byte !== 0) && !(isLoopback(bytes) && bytes.length === 4) &&
        !own.has(hostname);
    });
    return missing.flatMap(({ address: { hostname }, addressKey }) => {
      const version = parseIp(hostname)!.length === 4 ? "ipv4" : "ipv6";
      if (kernelNumber(`net/${version}/ip_nonlocal_bind`) === 1) return [];
      return [{
        level: "problem" as const,
        subject: `${addressKey} ${hostname}`,
        message: "this machine has no such address",
        fix: `name one that it has (ip address shows them), or all of them (0.0.0.0 and ::)`,
      }];
    });
  },
};

/** Ports that need a privilege which the process hasn't got. */
export const privileges: Check = {
  id: "privilege",
  looksAt: "the privilege for low ports",
  when: "before a start",
  look: ({ settings, rights }) => {
    if (mayDo(rights, CAPABILITY.netBindService)) return [];
    const first = kernelNumber("net/ipv4/ip_unprivileged_port_start") ?? 1024;
    const low = new Map(
      wantedSockets(settings).filter(({ address }) => address.port < first)
        .map(({ address, portKey }) => [address.port, portKey]),
    );
    return [...low].map(([port, portKey]) => ({
      level: "problem",
      subject: `port ${port}`,
      message: `ports below ${first} need CAP_NET_BIND_SERVICE, which this user hasn't got`,
      fix:
        "start it by packaging/pleiades.service, or allow it for every user (setcap cap_net_bind_service=+ep " +
        `on the executable), or choose another port (${portKey})`,
    }));
  },
};
