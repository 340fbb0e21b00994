/**
 * The API on a socket.
 *
 * @module
 */
/** What `serveApi` needs. */
export interface ApiServerOptions {
  /** What answers, such as `createApi` makes it. */
  readonly app: { fetch(request: Request, env?: object): Response | Promise<Response> };
  /** An address of this machine. */
  readonly hostname: string;
  /** 0 = any free port. */
  readonly port: number;
  /** PEM texts; `null` = plain HTTP. */
  readonly tls: { readonly cert: string; readonly key: string } | null;
  /** Ends the server: requests under way get `GRACE_MS`. */
  readonly signal: AbortSignal;
}

/** A server that listens. */
export interface ApiServer {
  /** The address it is bound to. */
  readonly hostname: string;
  /** The port it is bound to. */
  readonly port: number;
  /** Resolves when the last connection is closed after `signal`. */
  readonly finished: Promise<void>;
}

/** How long requests under way may take after the signal, milliseconds. */
export const GRACE_MS = 2_000;

/**
 * Listens and serves until the signal.
 *
 * @throws what `Deno.serve` throws when the address is taken or the certificate can't be read
 */
export function serveApi({ app, hostname, port, tls, signal }: ApiServerOptions): ApiServer {
  const closing = new AbortController();
  const server = Deno.serve({
    hostname,
    port,
    signal: closing.signal,
    onListen: () => {},
    ...(tls && { cert: tls.cert, key: tls.key }),
  }, (request, info) => app.fetch(request, info));
  const finished = closeOn(signal, { server, closing });
  return { hostname: server.addr.hostname, port: server.addr.port, finished };
}

async function closeOn(
  signal: AbortSignal,
  { server, closing }: { readonly server: Deno.HttpServer<Deno.NetAddr>; readonly closing: AbortController },
): Promise<void> {
  if (!signal.aborted) {
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  }
  const timer = setTimeout(() => closing.abort(), GRACE_MS);
  await server.shutdown();
  await server.finished;
  clearTimeout(timer);
}
