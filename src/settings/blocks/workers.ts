/** @module The settings key `workers`. */
import { integer } from "../../input/fields.ts";
import type { FileOf, Loading } from "../loading.ts";

/** More threads than this wait for each other's sockets; `workers` may say otherwise. */
const WORKERS_MAX = 8;

const shape = {
  workers: integer("workers", 1, 64).nullable().default(null).meta({
    rare: true,
    description:
      "Threads that answer UDP, beside one for TCP; by default one less than the machine has processors, at least 1, at most 8",
    examples: [2],
  }),
};

/** Threads that answer UDP, at least 1; TCP has one more. */
export const workers = {
  shape,
  settings: ({ workers }: FileOf<typeof shape>, { outside }: Loading) => ({
    workers: workers ?? Math.min(WORKERS_MAX, Math.max(1, outside.processors() - 1)),
  }),
};
