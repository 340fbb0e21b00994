/**
 * Whether a webhook comes from a host that knows the secret. Three ways are known, and each host has one of them:
 *
 * - `X-Hub-Signature-256: sha256=HEX` (GitHub, Gitea, Forgejo, Bitbucket): HMAC-SHA256 of the body;
 * - `X-Gitlab-Token: SECRET` (GitLab): the secret itself;
 * - `X-Signature-256: HEX` or `sha256=HEX`: for whatever else can compute an HMAC (RFC 2104).
 *
 * What is in the body doesn't matter: all that a webhook brings about is a look at the repository.
 *
 * @module
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";

/** Largest body, bytes: as large as GitHub sends them. */
export const WEBHOOK_BYTES_MAX: number = 25 << 20;

/** Whether one of the headers proves that the sender knows the secret; the body is read to its end for that. */
export async function isSigned(
  { headers, body, secret }: {
    readonly headers: Headers;
    readonly body: AsyncIterable<Uint8Array>;
    readonly secret: string;
  },
): Promise<boolean> {
  const token = headers.get("x-gitlab-token");
  if (token !== null) return isEqual(token, secret);
  const given = headers.get("x-hub-signature-256") ?? headers.get("x-signature-256");
  const digits = given?.replace(/^sha256=/, "").toLowerCase();
  // What can't be one isn't worth reading 25 MB for.
  if (digits === undefined || !/^[0-9a-f]{64}$/.test(digits)) return false;
  const hmac = createHmac("sha256", secret);
  for await (const chunk of body) hmac.update(chunk);
  return isEqual(digits, hmac.digest("hex"));
}

/** Takes as long for texts that differ early as for those that differ late. */
function isEqual(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
