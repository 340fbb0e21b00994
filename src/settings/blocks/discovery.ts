/** @module The settings block `discovery`: the keys of that program, which will say itself what they are. */
import { companion } from "../fields.ts";

/** Settings of `pleiades discovery`. */
export const discovery = { shape: { discovery: companion("discovery") }, settings: () => ({}) };
