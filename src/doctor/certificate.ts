/**
 * Check of the certificates that are served, the API's and that of encrypted DNS. That they can be read and that each key is
 * its certificate's own is judged with the settings.
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

/** Whether the certificates that are served are valid, and for long enough. */
export const certificate: Check = {
  id: "certificate",
  looksAt: "certificates of the API and of DNS",
  when: "both",
  look: ({ settings, clock }) => {
    const files = [settings.api.tls.certFile, settings.dns.tls.certFile].filter((file) => file !== null);
    return [...new Set(files)].flatMap((file) => lookAt(file, clock.unixMs()));
  },
};

function lookAt(file: string, nowMs: number): Remark[] {
  const text = new TextDecoder().decode(readShortFile(file, PEM_BYTES_MAX));
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  return blocks.flatMap((pem, i) =>
    remarksOn(new X509Certificate(pem), nowMs).map((remark) => ({
      ...remark,
      subject: blocks.length > 1 ? `${file}, certificate ${i + 1}` : file,
    }))
  );
}

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
