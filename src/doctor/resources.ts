/**
 * Checks of what a node takes from its machine: file descriptors, socket buffers, system calls, processors.
 *
 * @module
 */
import { batchSocketFault, RECEIVE_BUFFER_BYTES } from "../sockets/batch_socket.ts";
import type { Settings } from "../settings/settings.ts";
import type { Check } from "./check.ts";
import type { Remark } from "./finding.ts";
import { encryptedPorts } from "./ports.ts";
import { CAPABILITY, kernelNumber, mayDo } from "./rights.ts";

/** What takes descriptors, each at its most. */
export interface DescriptorDemand {
  /** What it is, with the key of the settings that bounds it. */
  readonly what: string;
  /** How many. */
  readonly count: number;
}

/** Descriptors of everything else: the database, DNS sockets, the run time's own. */
const DESCRIPTORS_BASE = 64;
/** Descriptors of a DNS worker, that of the streams included: its event loop and its sockets. */
const DESCRIPTORS_PER_WORKER = 8;

/** Probes are counted as the targets of now: each has at most one under way. */
export function descriptorDemands(
  { dns, api, metrics, workers }: Settings,
  { listeners, members }: { readonly listeners: number; readonly members: number },
): DescriptorDemand[] {
  const httpListeners = Number(api.enabled) + Number(metrics.enablePrometheus && metrics.listenAddr !== null);
  const encrypted = encryptedPorts(dns).map(([key]) => key === "dns.tls.port" ? "TLS" : "HTTPS");
  const ways = ["TCP", ...encrypted];
  return [
    {
      what: `DNS over ${ways.join(", ")} (dns.tcp.maxConnections)`,
      count: dns.tcp.maxConnections * listeners * ways.length,
    },
    { what: "HTTP (api.maxConnections)", count: api.maxConnections * httpListeners },
    { what: "probes", count: members },
    { what: "for the rest", count: DESCRIPTORS_BASE + DESCRIPTORS_PER_WORKER * (workers + 1) },
  ];
}

/** Whether as many files may be open as the settings' bounds need. */
export const descriptors: Check = {
  id: "descriptors",
  looksAt: "the limit on open files",
  when: "both",
  look: ({ settings, rights: { openFiles }, node }) => {
    if (openFiles === null) return [];
    const { listen, listenAddr } = settings.dns;
    const listeners = node?.listening.length ?? (listen.length > 0 ? listen : listenAddr).length;
    const demands = descriptorDemands(settings, { listeners, members: node?.members ?? 0 });
    const sum = demands.reduce((total, { count }) => total + count, 0);
    if (sum <= openFiles) return [];
    const parts = demands.map(({ what, count }) => `${count} ${what}`).join(", ");
    return [{
      level: "warning",
      subject: "the limit on open files",
      message: `is ${openFiles}, and ${sum} could be needed: ${parts}`,
      fix: "raise it (LimitNOFILE in the unit, ulimit -Hn in a shell), or lower those settings",
    }];
  },
};

/** What Linux has by default; less than that was chosen. */
const BUFFER_DEFAULT_BYTES = 212_992;

/** Whether the kernel keeps enough queries for a node that is busy. */
export const receiveBuffer: Check = {
  id: "receive-buffer",
  looksAt: "buffers for queries over UDP",
  when: "both",
  look: ({ rights, node }) => {
    const largest = kernelNumber("net/core/rmem_max");
    // With the capability a socket has what it asks for, whatever the limit.
    const isForced = rights.capabilities !== null && mayDo(rights, CAPABILITY.netAdmin);
    if (largest === null || isForced || largest >= RECEIVE_BUFFER_BYTES) return [];
    const drops = node?.kernelDrops ?? 0;
    if (drops === 0 && largest >= BUFFER_DEFAULT_BYTES) return [];
    const lost = drops > 0 ? `; ${drops} queries were dropped for lack of room since the node started` : "";
    return [{
      level: "warning",
      subject: "net.core.rmem_max",
      message: `is ${largest} bytes, and a DNS socket asks for ${RECEIVE_BUFFER_BYTES}${lost}`,
      fix:
        `sysctl -w net.core.rmem_max=${RECEIVE_BUFFER_BYTES}, a file in /etc/sysctl.d to keep it, and a restart`,
    }];
  },
};

/** Whether UDP can be served the quick way. */
export const transport: Check = {
  id: "transport",
  looksAt: "the transport of UDP",
  when: "both",
  look: ({ settings: { dns: { transport } }, node }) => {
    if (transport === "portable" || (transport === "auto" && Deno.build.os !== "linux")) return [];
    if (node?.transport === "linux") return [];
    const reason = batchSocketFault();
    if (reason === null && node === null) return [];
    return [{
      level: transport === "linux" ? "problem" : "warning",
      subject: "dns.transport",
      message: `the Linux transport can't be used: ${reason ?? "the log of the start says why"}` +
        (transport === "linux" ? "" : "; the portable one does, and answers fewer queries"),
      fix: transport === "linux"
        ? "set dns.transport to auto, or run it where it works"
        : "let it call foreign functions where it may not, as the executable does, run it on Linux with glibc, or " +
          "set dns.transport to portable to say that it is meant so",
    }];
  },
};

/** Whether there are more workers than processors to run them. */
export const workers: Check = {
  id: "workers",
  looksAt: "workers and processors",
  when: "both",
  look: ({ settings }): Remark[] => {
    const processors = navigator.hardwareConcurrency;
    if (settings.workers <= processors) return [];
    return [{
      level: "warning",
      subject: `workers ${settings.workers}`,
      message:
        `this process may use ${processors} ${processors === 1 ? "processor" : "processors"}: more workers ` +
        "than that only wait for each other",
      fix: `set workers to ${Math.max(1, processors - 1)}, or leave it out`,
    }];
  },
};
