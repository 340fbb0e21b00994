/** @module Which URLs of repositories are read, as what, and which are refused. */
import { deepEqual, ok, throws } from "node:assert/strict";
import { readRepositoryUrl, type Remote, RepositoryUrlFault } from "../../src/input/repository_url.ts";

const ssh = (path: string, rest: Partial<Extract<Remote, { kind: "ssh" }>> = {}): Remote => ({
  kind: "ssh",
  user: "git",
  host: "git.example.org",
  port: null,
  path,
  ...rest,
});

const READ: readonly [string, Remote][] = [
  ["https://git.example.org/dns.git", {
    kind: "https",
    url: "https://git.example.org/dns.git",
    isEncrypted: true,
  }],
  ["https://git.example.org:8443/a/b/", {
    kind: "https",
    url: "https://git.example.org:8443/a/b",
    isEncrypted: true,
  }],
  ["http://[::1]/dns.git", { kind: "https", url: "http://[::1]/dns.git", isEncrypted: false }],
  ["ssh://git@git.example.org/srv/dns.git", ssh("/srv/dns.git")],
  ["ssh://git@git.example.org:2222/srv/dns.git", ssh("/srv/dns.git", { port: 2222 })],
  ["ssh://git.example.org/~ada/dns.git", ssh("~ada/dns.git", { user: null })],
  ["ssh://git@[2001:db8::1]/dns.git", ssh("/dns.git", { host: "2001:db8::1" })],
  ["git@git.example.org:ops/dns.git", ssh("ops/dns.git")],
  ["git@git.example.org:/srv/dns.git", ssh("/srv/dns.git")],
  ["git.example.org:dns.git", ssh("dns.git", { user: null })],
  ["git@[2001:db8::1]:dns.git", ssh("dns.git", { host: "2001:db8::1" })],
  ["file:///srv/dns%20repo.git", { kind: "file", path: "/srv/dns repo.git" }],
  ["/srv/dns.git", { kind: "file", path: "/srv/dns.git" }],
];

Deno.test("URLs of repositories are read", () => {
  for (const [text, remote] of READ) deepEqual(readRepositoryUrl(text), remote, text);
});

const REFUSED: readonly [string, RegExp][] = [
  ["", /must be https/],
  ["dns.git", /must be https/],
  ["./dns.git", /must be https/],
  ["../dns.git", /must be https/],
  ["ext::sh -c touch% /tmp/x", /begins with "ext::", which would run a program/],
  ["ssh::git@git.example.org/x", /begins with "ssh::"/],
  ["::x", /begins with "::"/],
  ["--upload-pack=touch /tmp/x", /begins with "-"/],
  ["-oProxyCommand=touch /tmp/x", /begins with "-"/],
  ["git://git.example.org/dns.git", /begins with "git:\/\/"/],
  ["ftp://git.example.org/dns.git", /begins with "ftp:\/\/"/],
  ["ssh://-oProxyCommand=touch/x", /host that isn't one|isn't one/],
  ["ssh://git@-oProxyCommand=x/x", /host that isn't one|isn't one/],
  ["-oProxyCommand=x:dns.git", /begins with "-"/],
  ["git@-oProxyCommand=x:dns.git", /host that isn't one/],
  ["ssh://-l@git.example.org/x", /user that isn't one/],
  ["ssh://%2Dl@git.example.org/x", /user that isn't one/],
  ["git@git.example.org:--upload-pack=x", /path that begins with "-"/],
  ["ssh://git.example.org", /no path/],
  ["ssh://git.example.org/", /no path/],
  ["ssh://git:s3cret@git.example.org/x", /has a password in it/],
  ["https://ada:s3cret@git.example.org/x", /has a password in it: write it to gitops\.auth\.password/],
  ["https://s3cret@git.example.org/x", /has a user in it/],
  ["https://git.example.org/x?token=s3cret", /has a "\?" in it/],
  ["https://git.example.org/x#s3cret", /has a "#" in it/],
  ["https://", /isn't one/],
  ["file://server/share.git", /third slash/],
  ["file:///srv/%0a.git", /control character/],
  ["file:///srv/%ff.git", /UTF-8/],
  ["/srv/dns.git\n", /control character/],
  ["ssh://git.example.org/a%00b", /control character/],
];

Deno.test("what isn't the URL of a repository is refused before any program sees it", () => {
  for (const [text, message] of REFUSED) {
    throws(() => readRepositoryUrl(text), (error) => {
      ok(error instanceof RepositoryUrlFault, text);
      ok(message.test(error.message), `${text}: ${error.message}`);
      ok(!error.message.includes("s3cret"), error.message);
      return true;
    });
  }
});
