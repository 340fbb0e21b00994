/**
 * What stands in the way of an answer, whatever the engine says: lists of clients, the rate, the ceiling on sizes.
 *
 * @module
 */
import {
  familyOf,
  formatIp,
  formatPrefix,
  maskBits,
  parsePrefix,
  type Prefix,
  prefixContains,
} from "../ip.ts";
import type { ExplainedStep } from "./explanation.ts";
import type { Situation } from "./situation.ts";

/** A sentence for each limit that the client has which asks; `sizes` are bytes. */
export function limitSteps(
  { asked, sources }: Pick<Situation, "asked" | "sources">,
  sizes: { readonly query: number; readonly answer: number },
): ExplainedStep[] {
  const { deny, allow, rateLimit, amplificationMax } = sources.limits();
  const client = formatIp(asked.client);
  const denied = containing(deny, asked.client);
  if (denied) {
    return [
      step(`${client} is denied (dns.deny ${formatPrefix(denied)}) and gets no answer: others get this one`),
    ];
  }
  if (allow.length > 0 && !containing(allow, asked.client)) {
    return [step(`${client} isn't in dns.allow and gets REFUSED: others get this answer`)];
  }
  const steps: ExplainedStep[] = [];
  if (rateLimit.enabled && !containing(rateLimit.exempt, asked.client)) {
    const { ipv4PrefixLength, ipv6PrefixLength, responsesPerSecond } = rateLimit;
    const length = asked.client.length === 4 ? ipv4PrefixLength : ipv6PrefixLength;
    const network = { family: familyOf(asked.client), bytes: maskBits(asked.client, length), length };
    steps.push(step(
      `over UDP and without a cookie ${
        formatPrefix(network)
      } gets ${responsesPerSecond} answers a second of one ` +
        "name (dns.rateLimit)",
    ));
  }
  if (amplificationMax !== null && sizes.answer > amplificationMax * sizes.query) {
    steps.push(step(
      `over UDP and without a cookie this answer comes short: its ${sizes.answer} bytes are more than ` +
        `${amplificationMax} times the query's ${sizes.query} (dns.amplificationMax)`,
    ));
  }
  return steps;
}

function step(text: string): ExplainedStep {
  return { kind: "limit", text };
}

function containing(prefixes: readonly string[], address: Uint8Array): Prefix | undefined {
  return prefixes.map(parsePrefix).find((prefix) => prefixContains(prefix, address));
}
