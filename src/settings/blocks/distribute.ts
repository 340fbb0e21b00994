/** @module The settings block `distribute`: the keys of that program, which will say itself what they are. */
import { companion } from "../fields.ts";

/** Settings of `pleiades distribute`. */
export const distribute = { shape: { distribute: companion("distribute") }, settings: () => ({}) };
