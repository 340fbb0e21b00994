/** @module The settings block `mapFile`: clients sent to addresses by prefix. */
import { readMapText } from "../../geo/map_file_text.ts";
import { section } from "../../input/strict_object.ts";
import type { Path } from "../../input/yaml_source.ts";
import { mapping, path } from "../fields.ts";
import type { FileOf, Loading } from "../loading.ts";

const shape = {
  mapFile: section(
    mapping({
      path: path("mapFile.path").meta({
        reload: "live",
        description: "Map file: one rule a line, CIDR ADDRESS[,ADDRESS…], # begins a comment",
        examples: ["clients.map"],
      }),
    }),
    "Clients sent to addresses by prefix",
  ),
};

/** An absolute path that can be read. */
export const mapFile = {
  shape,
  settings: ({ mapFile: { path } }: FileOf<typeof shape>, loading: Loading) => ({
    mapFile: { path: path === null ? null : readable(["mapFile", "path"], path, loading) },
  }),
};

/**
 * A map file may be large, and a node compiles it on a thread of its own: here it is only made sure that it can be
 * read, unless nothing but the file is judged.
 */
function readable(at: Path, path: string, loading: Loading): string {
  if (!loading.fileOnly) return loading.readable(at, path);
  const bytes = loading.readBytes(at, path);
  if (bytes !== null) {
    const { problems } = readMapText(bytes);
    loading.report(problems.map((problem) => ({ file: loading.shown(path), ...problem })));
  }
  return loading.resolve(at, path);
}
