/**
 * A decision for a client holds for its scope, and for no wider one: `deno task prove scopes [STATES [FIRST]]`, a
 * thousand random states unless told otherwise, each of its own seed from FIRST (1) on.
 *
 * @module
 */
import { checkWorld, CLIENTS } from "../balance/client_worlds.ts";

const SHOWN_SHARE_MIN = 0.9;

/** Runs the proof; a state that is wrong throws, with its seed. */
export function prove([states = "1000", first = "1"]: string[]): Promise<boolean> {
  const from = Number(first);
  const to = from + Number(states);
  let shown = 0;
  for (let seed = from; seed < to; seed++) shown += checkWorld(seed);
  const clients = Number(states) * CLIENTS;
  console.log(`${clients} decisions are the oracle's; ${shown} scopes are shown to be the widest`);
  return Promise.resolve(shown > SHOWN_SHARE_MIN * clients);
}
