/**
 * Addresses of repositories for people.
 *
 * @module
 */

/** The address without user name, password and query, which may be secrets; `user@host:path` stays what it is. */
export function withoutCredentials(url: string): string {
  const parsed = URL.parse(url);
  if (parsed === null || !url.includes("://")) return url;
  parsed.password = "";
  if (parsed.protocol !== "ssh:") parsed.username = "";
  parsed.search = "";
  parsed.hash = "";
  return parsed.href;
}
