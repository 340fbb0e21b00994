/**
 * Where a repository is, read from what an operator wrote.
 *
 * Git itself takes much more for a URL than is good: `ext::sh -c …` runs a shell, a host that begins with `-` is an option of `ssh`, a path
 * that does is one of `git`. What is accepted here is a short list; everything else is refused before any program sees it.
 *
 * @module
 */
/** Where a repository is, by the way that leads to it. */
export type Remote =
  /** Smart HTTP; `url` has no user, no password, no query and no slash at its end. */
  | { readonly kind: "https"; readonly url: string; readonly isEncrypted: boolean }
  /** A path on a host that `ssh` reaches; `user` and `port` = `null` for those of `ssh` itself. */
  | {
    readonly kind: "ssh";
    readonly user: string | null;
    readonly host: string;
    readonly port: number | null;
    readonly path: string;
  }
  /** An absolute path on this machine. */
  | { readonly kind: "file"; readonly path: string };

/** A URL that isn't one of a repository, or that would have a program do more than fetch. */
export class RepositoryUrlFault extends Error {
  /** The class, in logs. */
  override readonly name = "RepositoryUrlFault";
}

/**
 * Reads the URL of a repository.
 *
 * @throws {RepositoryUrlFault} what is wrong with it; the message never has a password in it
 */
export function readRepositoryUrl(text: string): Remote {
  if (/\p{Cc}/u.test(text)) throw refused("has a control character in it");
  if (text.startsWith("-")) throw refused(`begins with "-", as an option would`);
  const helper = /^([\w+.-]*)::/.exec(text)?.[1];
  if (helper !== undefined) throw refused(`begins with "${helper}::", which would run a program`);
  if (text.startsWith("/")) return { kind: "file", path: text };
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) return scpLike(text);
  const url = parsed(text);
  if (url.password !== "") throw refused("has a password in it: write it to gitops.auth.password");
  if (url.search !== "" || url.hash !== "") throw refused(`has a "${url.search ? "?" : "#"}" in it`);
  switch (scheme) {
    case "https":
    case "http":
      return https(url, scheme === "https");
    case "ssh":
      return ssh(url);
    case "file":
      return file(url);
    default:
      throw refused(`begins with "${scheme}://": ${ACCEPTED}`);
  }
}

const ACCEPTED = "it must be https://…, ssh://…, user@host:path, file:///… or an absolute path";

function refused(fault: string): RepositoryUrlFault {
  return new RepositoryUrlFault(`The URL of the repository ${fault}`);
}

function parsed(text: string): URL {
  try {
    return new URL(text);
  } catch {
    throw refused(`isn't one: ${ACCEPTED}`);
  }
}

function https(url: URL, isEncrypted: boolean): Remote {
  if (url.username !== "") throw refused("has a user in it: write it to gitops.auth.user");
  return { kind: "https", url: `${url.origin}${url.pathname.replace(/\/+$/, "")}`, isEncrypted };
}

function ssh(url: URL): Remote {
  const path = decoded(url.pathname);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = url.port === "" ? null : Number(url.port);
  // "/~ada/dns.git" is below the home of ada, which only a path without the slash says.
  const user = url.username === "" ? null : decoded(url.username);
  return sshRemote({ user, host, port, path: path.startsWith("/~") ? path.slice(1) : path });
}

/** `user@host:path`, as `scp` has it: the path begins in the home of the user. */
function scpLike(text: string): Remote {
  const found = /^(?:([^@/:]+)@)?(\[[0-9a-f:.]+\]|[^/:@[\]]+):(.+)$/i.exec(text);
  if (found === null) throw refused(`isn't one: ${ACCEPTED}`);
  const [, user, host, path] = found;
  return sshRemote({ user: user ?? null, host: host!.replace(/^\[|\]$/g, ""), port: null, path: path! });
}

function sshRemote(
  { user, host, port, path }: { user: string | null; host: string; port: number | null; path: string },
): Remote {
  if (!/^[a-z0-9_]([a-z0-9_.:-]*[a-z0-9_.])?$/i.test(host)) throw refused("has a host that isn't one");
  if (user !== null && !/^[a-z0-9_.][a-z0-9_.+@-]*$/i.test(user)) {
    throw refused("has a user that isn't one");
  }
  if (path === "" || path === "/") throw refused("has no path");
  if (path.startsWith("-")) throw refused(`has a path that begins with "-", as an option would`);
  return { kind: "ssh", user, host, port, path };
}

function file(url: URL): Remote {
  if (url.hostname !== "" && url.hostname !== "localhost") {
    throw refused("names a host in file://: the path begins with a third slash, file:///…");
  }
  return { kind: "file", path: decoded(url.pathname) };
}

function decoded(text: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(text);
  } catch {
    throw refused(`has a "%" that isn't followed by two hexadecimal digits of UTF-8`);
  }
  if (/\p{Cc}/u.test(decoded)) throw refused("has a control character in it");
  return decoded;
}
