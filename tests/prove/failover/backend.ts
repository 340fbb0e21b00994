/**
 * A backend as a process of its own, so that it can be killed and stopped: HTTP and HTTPS on one address.
 *
 * Arguments: the address, the port of HTTP and that of HTTPS (0 = any free one). Each line of stdin is a `Conduct`; it
 * is answered on stdout by a line of `Ports` when it is in force. With stdin it ends: it outlives nobody.
 *
 * @module
 */
import { TextLineStream } from "./lines.ts";
import type { Identity } from "../../health/certificates.ts";

/** How a backend behaves from now on. */
export interface Conduct {
  /** Before each response, milliseconds. */
  readonly delayMs: number;
  /** Of each response. */
  readonly status: number;
  /** What HTTPS shows. */
  readonly identity: Identity;
}

/** Where it listens. */
export interface Ports {
  readonly http: number;
  readonly https: number;
}

if (import.meta.main) {
  const [hostname, http, https] = Deno.args;
  await serve({ hostname: hostname!, http: Number(http), https: Number(https) });
  Deno.exit(0);
}

async function serve({ hostname, ...wanted }: { readonly hostname: string } & Ports): Promise<void> {
  let conduct: Conduct | null = null;
  let ports: Ports = wanted;
  let secure: Deno.HttpServer<Deno.NetAddr> | null = null;
  let plain: Deno.HttpServer<Deno.NetAddr> | null = null;
  const handler = async () => {
    const { delayMs, status } = conduct!;
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    return new Response("backend\n", { status, headers: { connection: "close" } });
  };
  const onListen = () => {};
  for await (const line of Deno.stdin.readable.pipeThrough(new TextLineStream())) {
    const before: Conduct | null = conduct;
    conduct = JSON.parse(line) as Conduct;
    plain ??= Deno.serve({ hostname, port: ports.http, onListen }, handler);
    if (before?.identity.cert !== conduct.identity.cert) {
      await secure?.shutdown();
      secure = Deno.serve({ hostname, port: ports.https, onListen, ...conduct.identity }, handler);
    }
    ports = { http: plain.addr.port, https: secure!.addr.port };
    console.log(JSON.stringify(ports));
  }
}
