/** @module The settings block `api`: how the REST API is served. */
import { flag, integer, ipAddress, oneOrMore } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { isLoopback, parseIp } from "../../ip.ts";
import { mapping, path, pathOrEmpty, port, requiredSecret } from "../fields.ts";
import type { FileOf, Loading } from "../loading.ts";
import { database } from "./database.ts";
import { socketFlag } from "../socket_flag.ts";
import { BOTH_OR_NONE, servable } from "../tls_files.ts";

const shape = {
  api: section(
    mapping({
      enabled: flag("enabled").default(true).meta({ description: "Serve the REST API", examples: [true] }),
      listenAddr: ipAddress("listenAddr").default("127.0.0.1").meta({
        description: "Address to listen on; one that isn't loopback needs a token",
        examples: ["127.0.0.1"],
      }),
      port: port("port").default(8080).meta({ description: "Port to listen on", examples: [8080] }),
      tls: section(
        mapping({
          certFile: path("certFile").meta({
            description: "Certificate chain, PEM",
            examples: ["/etc/pleiades/tls/api.crt"],
          }),
          keyFile: path("keyFile").meta({
            description: "Private key, PEM",
            examples: ["/etc/pleiades/tls/api.key"],
          }),
        }).check(BOTH_OR_NONE),
        "TLS of the API",
      ),
      maxConnections: integer("maxConnections", 1, 65_535).default(256).meta({
        description:
          "Connections at the same time; when all are taken, an idle one is closed for a new one, of the clients with more than their share first",
        examples: [256],
      }),
      maxConnectionsPerClient: integer("maxConnectionsPerClient", 1, 65_535).default(64).meta({
        description: "Connections of one IPv4 address or IPv6 /64 at the same time",
        examples: [64],
      }),
      webuiPath: pathOrEmpty("webuiPath").meta({
        // All that comes of it is a note, which a reload repeats.
        reload: "live",
        rare: true,
        description: "Folder of a web console: without effect, since this version has none",
        examples: ["/usr/share/gslbd/webui"],
      }),
      tokens: oneOrMore("tokens", requiredSecret("token")).prefault([]).meta({
        description: "Bearer tokens that the API accepts",
        example: ["${PLEIADES_ADMIN_TOKEN}"],
      }),
    }),
    "The REST API",
  ),
};

/** How the REST API is served; `--api` is in the address, and tokens are resolved: none on loopback = no login. */
export const api = {
  shape,
  settings: ({ api: { webuiPath, ...api } }: FileOf<typeof shape>, loading: Loading) => {
    noteWebui(webuiPath, loading);
    const { flags } = loading;
    const flag = flags.api === undefined
      ? null
      : socketFlag(flags.api, { flag: "--api", port: api.port, loading });
    const listenAddr = flag?.hostname ?? api.listenAddr;
    const isOpen = api.enabled && api.tokens.length === 0 && !isLoopback(parseIp(listenAddr)!);
    if (isOpen && !loading.isFaulty("api") && !mayHaveTokens(loading)) {
      const message = `${listenAddr} isn't a loopback address, so any host could change the model ` +
        `(set api.tokens, or listen on 127.0.0.1)`;
      if (flag) loading.report([{ file: "--api", line: 0, column: 0, message }]);
      else loading.problem(["api", "listenAddr"], message);
    }
    const { files: tls } = servable(api.tls, ["api", "tls"], loading);
    return { api: { ...api, listenAddr, port: flag?.port ?? api.port, tls } };
  },
};

/** Whether there may be tokens in the database; whether there are is seen at the start. */
function mayHaveTokens(loading: Loading): boolean {
  const { path } = loading.of(database).database;
  return path !== "none" && path !== ":memory:";
}

function noteWebui(path: string, loading: Loading): void {
  if (path === "") return;
  const message =
    "api.webuiPath has no effect: this version has no web console (remove it, or leave it for later)";
  loading.note(["api", "webuiPath"], message);
}
