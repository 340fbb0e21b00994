/**
 * The certificate of encrypted DNS as a part of a node: read with the settings, handed to the workers, and again after
 * each reload that brings another one. What a reload can't serve never gets here: its settings are refused, and the
 * older certificate stays.
 *
 * @module
 */
import { X509Certificate } from "node:crypto";
import type { Fleet } from "../dns/fleet.ts";
import type { Certificate } from "../dns/stream_service.ts";
import { Port } from "../port.ts";
import type { Settings } from "../settings/settings.ts";
import type { Logger } from "../telemetry/log.ts";
import { partOf, type Start } from "./part.ts";

/** Where the workers find their certificate. */
export const DNS_CERTIFICATE: Port<DnsCertificate> = new Port("certificate of DNS");

/** The certificate of a node. */
export class DnsCertificate {
  readonly #log: Logger;
  #current: Certificate | null;
  #fleet: Pick<Fleet, "certify"> | null = null;

  /** Goes by these settings. */
  constructor({ dns: { tls } }: Settings, log: Logger) {
    this.#current = tls.certificate;
    this.#log = log;
  }

  /** That of now; `null` = encrypted DNS isn't answered. */
  get current(): Certificate | null {
    return this.#current;
  }

  /** When it ends, Unix seconds; 0 = there is none. */
  get endSeconds(): number {
    return this.#current === null ? 0 : Date.parse(new X509Certificate(this.#current.cert).validTo) / 1000;
  }

  /** Has workers that serve the certificate of now serve later ones, too, until the result is disposed of. */
  attach(fleet: Pick<Fleet, "certify">): Disposable {
    this.#fleet = fleet;
    return { [Symbol.dispose]: () => this.#fleet = null };
  }

  /** Goes by other settings. */
  use({ dns: { tls: { certificate } } }: Settings): void {
    const { cert, key } = this.#current ?? {};
    if (certificate?.cert === cert && certificate?.key === key) return;
    if (this.#current === null || certificate === null) {
      const what = certificate ? "begins" : "ends";
      return this.#log.warn(`Encrypted DNS ${what} at the next start: dns.tls.certFile was changed`);
    }
    this.#current = certificate;
    this.#fleet?.certify(certificate);
  }
}

/** Makes it, and offers it to the workers. */
export const dnsCertificate: Start = ({ settings, ports, registry, log }) => {
  const certificate = new DnsCertificate(settings(), log);
  const offered = ports.offer(DNS_CERTIFICATE, certificate);
  registry.gauge(
    "pleiades_dns_certificate_end_seconds",
    "When the certificate of encrypted DNS ends, Unix seconds; 0 = there is none.",
    { collect: () => certificate.endSeconds },
  );
  return partOf("certificate of DNS", {
    prepare: (next) => () => certificate.use(next),
    end: () => offered[Symbol.dispose](),
  });
};
