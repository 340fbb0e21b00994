/** @module The settings sections `dns.tls` and `dns.https`: encrypted DNS. */
import { z } from "zod";
import { mustBe } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { mapping, path, port } from "../fields.ts";
import type { Loading } from "../loading.ts";
import { BOTH_OR_NONE, servable, type TlsTexts } from "../tls_files.ts";

const pathError = mustBe("path", "a path such as /dns-query");

/** DNS over TLS, and the certificate of both. */
export interface DnsTlsSettings {
  /** PEM; `null` = encrypted DNS is off. */
  certFile: string | null;
  /** PEM. */
  keyFile: string | null;
  /** `null` = DNS over TLS is off. */
  port: number | null;
}

/** DNS over HTTPS. */
export interface DnsHttpsSettings {
  /** `null` = it is off. */
  port: number | null;
  /** Begins with a slash. */
  path: string;
}

/** DNS over TLS, and the certificate of both. */
export const tls: z.ZodType<DnsTlsSettings> = section(
  mapping({
    certFile: path("certFile").meta({
      reload: "live",
      description: "Certificate chain, PEM; with it DNS over TLS is answered",
      examples: ["/etc/pleiades/tls/dns.crt"],
    }),
    keyFile: path("keyFile").meta({
      reload: "live",
      description: "Private key, PEM",
      examples: ["/etc/pleiades/tls/dns.key"],
    }),
    port: port("port").nullable().default(853).meta({
      description: "Port of DNS over TLS, on the addresses of DNS; null = the certificate is for HTTPS alone",
      examples: [853],
    }),
  }).check(BOTH_OR_NONE),
  "DNS over TLS (RFC 7858)",
).meta({ rare: true });

/** DNS over HTTPS. */
export const https: z.ZodType<DnsHttpsSettings> = section(
  mapping({
    port: port("port").nullable().default(null).meta({
      description: "Port of DNS over HTTPS, on the addresses of DNS; empty = it isn't answered",
      examples: [443],
    }),
    path: z.string({ error: pathError }).regex(/^\/[\w.~/-]{0,255}$/, { error: pathError })
      .default("/dns-query").meta({
        description: "Where it has its messages",
        examples: ["/dns"],
      }),
  }),
  "DNS over HTTPS (RFC 8484), with the certificate of dns.tls",
).meta({ rare: true });

/** Reads the certificate, and says what is missing for HTTPS. */
export function encryption(
  { tls, https }: { readonly tls: Readonly<DnsTlsSettings>; readonly https: Readonly<DnsHttpsSettings> },
  loading: Loading,
): Readonly<DnsTlsSettings> & { readonly certificate: TlsTexts | null } {
  const { files, texts } = servable(tls, ["dns", "tls"], loading);
  if (https.port !== null && tls.certFile === null) {
    loading.problem(
      ["dns", "https", "port"],
      "DNS over HTTPS needs a certificate (set dns.tls.certFile and keyFile)",
    );
  }
  if (https.port !== null && https.port === tls.port && tls.certFile !== null) {
    loading.problem(["dns", "https", "port"], "DNS over HTTPS needs another port than DNS over TLS");
  }
  return { ...tls, ...files, certificate: texts };
}
