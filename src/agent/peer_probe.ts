/**
 * How an agent looks at its peers: does the port open, does it finish a TLS handshake, does it answer over HTTP?
 *
 * Over TLS any certificate is taken and no name is asked for: peers are reached by their addresses. A handshake is all
 * that is asked unless there is something to ask over HTTP.
 *
 * @module
 */
import { connectTcp, connectTls, explainFailure } from "../health/connection.ts";
import { exchange, HttpSyntaxError } from "../health/http_exchange.ts";
import { parseStatusSet, statusMatches } from "../health/probe.ts";
import type { PeerProbe } from "./ports.ts";

/** What is asked over HTTP. */
export interface PeerRequest {
  /** Path and query. */
  readonly path: string;
  /** The Host header; `null` = the address. */
  readonly host: string | null;
  /** Codes that are right, such as `200-399`. */
  readonly expectedStatus: string;
}

/** How peers are probed. */
export interface PeerProbeOptions {
  /** 1–65535. */
  readonly port: number;
  /** Whether a TLS handshake belongs to it. */
  readonly tls: boolean;
  /** `null` = nothing is asked. */
  readonly http: PeerRequest | null;
  /** Of Pleiades, for the user agent. */
  readonly version: string;
}

/** Makes the probe. */
export function connectionProbe({ port, tls, http, version }: PeerProbeOptions): PeerProbe {
  const expected = http && parseStatusSet(http.expectedStatus);
  return async (ipAddress, signal) => {
    try {
      const endpoint = { ipAddress, port };
      const terms = { serverName: ipAddress, caCerts: [], isVerified: false, isReliable: false };
      await using connection =
        await (tls ? connectTls(endpoint, terms, signal) : connectTcp(endpoint, signal));
      if (http === null || expected === null) return null;
      const host = http.host ?? (ipAddress.includes(":") ? `[${ipAddress}]:${port}` : `${ipAddress}:${port}`);
      const lines = [
        `GET ${http.path} HTTP/1.1`,
        `Host: ${host}`,
        `User-Agent: pleiades-agent/${version}`,
        "Accept: */*",
        "Connection: close",
      ];
      const request = new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`);
      const { status } = await exchange(connection, { request, needle: null, hasBody: true });
      return statusMatches(expected, status) ? null : `status ${status}, expected ${http.expectedStatus}`;
    } catch (error) {
      if (signal.aborted) return "probe was stopped";
      if (error instanceof HttpSyntaxError) return error.message;
      const phrase = explainFailure(error, ipAddress);
      if (phrase === null) throw error;
      return phrase;
    }
  };
}
