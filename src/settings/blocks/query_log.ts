/** @module The settings block `queryLog`. */
import { integer } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { mapping, pathOrEmpty } from "../fields.ts";
import type { FileOf, Loading } from "../loading.ts";

const shape = {
  queryLog: section(
    mapping({
      sample: integer("sample", 0, 1_000_000_000).default(0).meta({
        description: "One query in this many is logged; 0 = none, 1 = all",
        examples: [1000],
      }),
      maxPerSecond: integer("maxPerSecond", 1, 100_000).default(100).meta({
        description: "Queries that are logged at most in a second",
        examples: [100],
      }),
      path: pathOrEmpty("path").meta({
        description: "File they are appended to; empty = the log",
        examples: ["/var/log/pleiades/queries.log"],
      }),
    }),
    "Which queries are logged, each with its answer",
  ).meta({ rare: true }),
};

/** One query in `sample` is logged, to a file by its absolute path, or to the log where that is empty. */
export const queryLog = {
  shape,
  settings: ({ queryLog }: FileOf<typeof shape>, loading: Loading) => ({
    queryLog: {
      ...queryLog,
      path: queryLog.path === "" ? "" : loading.resolve(["queryLog", "path"], queryLog.path),
    },
  }),
};
