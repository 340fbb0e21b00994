/**
 * Check of the API's certificate. That it can be read and that the key is its own is judged with the settings.
 *
 * @module
 */
import { rfc3339 } from "../clock.ts";
import { X509Certificate } from "node:crypto";
import { PEM_BYTES_MAX, readShortFile } from "../input/regular_file.ts";
import type { Check } from "./check.ts";
import type { Remark } from "./finding.ts";

const DAY_MS = 86_400_000;
/** Certificates of 90 days are renewed when a third of it is left, those of 47 days at half: by now one of them failed. */
const DAYS_LEFT_MIN = 21;

/** Whether the API's certificates are valid, and for long enough. */
export const certificate: Check = {
  id: "certificate",
  looksAt: "the certificate of the API",
  when: "both",
  look: ({ settings, clock }) => {
    const { certFile } = settings.api.tls;
    if (certFile === null) return [];
    const text = new TextDecoder().decode(readShortFile(certFile, PEM_BYTES_MAX));
    const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
    return blocks.flatMap((pem, i) =>
      remarksOn(new X509Certificate(pem), clock.unixMs()).map((remark) => ({
        ...remark,
        subject: blocks.length > 1 ? `${certFile}, certificate ${i + 1}` : certFile,
      }))
    );
  },
};

function remarksOn({ validFrom, validTo }: X509Certificate, nowMs: number): Omit<Remark, "subject">[] {
  const [from, to] = [Date.parse(validFrom), Date.parse(validTo)];
  const fix = "renew it and put it in the place of this file";
  if (nowMs >= to) return [{ level: "problem", message: `expired at ${rfc3339(to)}`, fix }];
  if (nowMs < from) {
    const message = `isn't valid before ${rfc3339(from)}`;
    return [{ level: "problem", message, fix: "wait until then, or see whether the clock is right" }];
  }
  const days = Math.floor((to - nowMs) / DAY_MS);
  if (days >= DAYS_LEFT_MIN) return [];
  const left = days === 0 ? "less than a day" : days === 1 ? "a day" : `${days} days`;
  return [{ level: "warning", message: `expires in ${left}, at ${rfc3339(to)}`, fix }];
}
