/** @module The settings block `agent`: the keys of that program, which will say itself what they are. */
import { companion } from "../fields.ts";

/** Settings of `pleiades agent`. */
export const agent = { shape: { agent: companion("agent") }, settings: () => ({}) };
