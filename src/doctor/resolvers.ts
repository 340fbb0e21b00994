/**
 * Check of the resolvers that members by name are looked up with: each is asked one question, as the node itself does.
 *
 * @module
 */
import { runQuery } from "../dns_client.ts";
import { formatSocketAddress, type SocketAddress } from "../ip.ts";
import { systemResolvers } from "../resolver/system_resolvers.ts";
import { CLASS, TYPE } from "../wire/record_type.ts";
import type { Check } from "./check.ts";

/** Longest wait for one of them: below the patience with a check, so that it is named. */
const TIMEOUT_MS = 1_500;
/** More are not asked: the node itself goes on to the next one only when one is silent. */
const RESOLVERS_MAX = 8;

/** Whether resolvers answer that the node needs: those of the settings, and the system's for a model with names. */
export const resolvers: Check = {
  id: "resolver",
  looksAt: "resolvers for members by name",
  when: "both",
  look: async ({ settings: { names }, node }, signal) => {
    if (node === null ? names.resolvers.length === 0 : node.targets.length === 0) return [];
    const asked = (names.resolvers.length > 0 ? names.resolvers : systemResolvers()).slice(0, RESOLVERS_MAX);
    const silent = (await Promise.all(asked.map(async (server) => {
      const reason = await silenceOf(server, { timeoutMs: Math.min(names.timeout, TIMEOUT_MS), signal });
      return reason === null ? [] : [{ server, reason }];
    }))).flat();
    const isNoneLeft = silent.length === asked.length;
    return silent.map(({ server, reason }) => ({
      level: isNoneLeft ? "problem" : "warning",
      subject: `resolver ${formatSocketAddress(server)}`,
      message: `doesn't answer: ${reason}` +
        (isNoneLeft ? "; addresses of members by name can't be looked up" : "; others do"),
      fix: names.resolvers.length > 0
        ? "start it, or name another one (names.resolvers)"
        : "name one that answers (names.resolvers, or nameserver in /etc/resolv.conf)",
    }));
  },
};

/** Why it doesn't answer; `null` = it does, whatever it says. */
async function silenceOf(
  server: SocketAddress,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<string | null> {
  const question = { name: ".", type: TYPE.NS, class: CLASS.IN, ecs: null, tcp: false, udpSize: 1232 };
  try {
    await runQuery({ server, ...question, timeoutMs, signal });
    return null;
  } catch (error) {
    if (error instanceof Deno.errors.TimedOut) return `nothing came within ${timeoutMs / 1000} s`;
    return error instanceof Error ? error.message : String(error);
  }
}
