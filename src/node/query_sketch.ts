/**
 * The query sketch as a part of a node: needs a database, and is offered to the workers that count for it.
 *
 * @module
 */
import { TRAFFIC, Traffic } from "../traffic/traffic.ts";
import { reloaded, type Start } from "./part.ts";

/** Keeps the sketch; a node without database says that it can't. */
export const querySketch: Start = ({ settings, store, log, registry, clock, ports }) => {
  const warnWithout = ({ sketch }: { readonly sketch: boolean }) => {
    if (sketch) log.warn("queries.sketch has no effect: it needs a database (database.path is none)");
  };
  const name = "query sketch";
  if (store.readOnly) {
    warnWithout(settings().queries);
    return reloaded(name, ({ queries }) => warnWithout(queries));
  }
  const traffic = new Traffic({ terms: settings().queries, recorded: store.traffic, log, registry, clock });
  const offered = ports.offer(TRAFFIC, traffic);
  return {
    name,
    prepare: ({ queries }) => () => traffic.use(queries),
    [Symbol.asyncDispose]: () => {
      offered[Symbol.dispose]();
      return traffic[Symbol.asyncDispose]();
    },
  };
};
