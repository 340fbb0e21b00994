/**
 * What is forecast of a name of a change: of one that is like another, that one's answers with addresses of its own.
 *
 * @module
 */
import type { Subject } from "../../src/plan/differences.ts";
import type { AddressType, Forecast, Outcome } from "../../src/plan/forecast.ts";

/** What a client is answered to a question for a subject. */
export function foretold(
  forecast: Forecast,
  { name, alike }: Pick<Subject, "name" | "alike">,
  { type, client }: { readonly type: AddressType; readonly client: Uint8Array },
): Pick<Outcome, "shares" | "all" | "clientBits"> {
  const { shares, all, clientBits } = forecast.outcome(alike?.model ?? name, type, client);
  const own = new Map(alike?.addressesOfModel.map((address, i) => [address, alike.addresses[i]!]));
  const nameOf = (address: string) => own.get(address) ?? address;
  return {
    shares: new Map([...shares].map(([address, share]) => [nameOf(address), share])),
    all: new Set([...all].map(nameOf)),
    clientBits,
  };
}
