/**
 * A branch fetched from real servers over each transport and both versions of the protocol: one scenario, the same for all.
 *
 * @module
 */
import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { packetLine } from "../../src/gitops/pkt_line.ts";
import type { RepositoryAuth } from "../../src/gitops/repository.ts";
import { testWith } from "../programs.ts";
import { GitFixture, GitHttps, type GitRequest } from "./git_fixture.ts";
import { contents, failure, open, type OpenTerms, signal, type Way } from "./opened.ts";

/** The life of a branch, as seen over one way. */
async function live(git: GitFixture, way: Way): Promise<void> {
  const folder = `${git.folder}/${crypto.randomUUID()}`;
  const first = await git.commit({ "gslbd.yaml": "pools: []\n", "zones/b.zone": "b", "zones/a.zone": "a" }, {
    onto: [],
  });
  const second = await git.commit({ "zones/a.zone": `${"; a comment\n".repeat(500)}a2` });
  {
    await using repository = open({ ...way, folder });
    deepEqual(await repository.fetch({ known: null, signal }), { head: second });
    deepEqual(Object.keys(await contents(repository, second)), [
      "gslbd.yaml",
      "zones/a.zone",
      "zones/b.zone",
    ]);
    deepEqual(Object.keys(await contents(repository, second, "zones")), ["zones/a.zone", "zones/b.zone"]);
    await rejects(contents(repository, second, "sites/fra1"), failure("missing", /no folder "sites"/));
    await rejects(
      contents(repository, second, "gslbd.yaml"),
      failure("missing", /"gslbd.yaml" is no folder/),
    );
    ok(new TextDecoder().decode(await repository.commit(second)).includes(`parent ${first}\n`));
    await rejects(repository.commit("0".repeat(second.length)), failure("missing", /isn't in the store/));
    // Its parent is named by the commit itself; what is before that wasn't fetched.
    equal(await repository.descends(second, first), "yes");
    equal(await repository.descends(second, second), "yes");
    equal(await repository.descends(second, "1".repeat(second.length)), "unknown");
  }
  // Another run finds what this one left, and what the other side builds on it.
  await using repository = open({ ...way, folder });
  const third = await git.commit({ "zones/a.zone": `${"; a comment\n".repeat(500)}a3` });
  const fourth = await git.commit({ "zones/b.zone": null, "more.yaml": "zones: []\n" });
  const fifth = await git.commit({ "more.yaml": "zones:\n" });
  deepEqual(await repository.fetch({ known: second, signal }), { head: fifth });
  equal(await repository.descends(fifth, second), "yes");
  equal(await repository.descends(fifth, fourth), "yes");
  equal(await repository.descends(third, fourth), "no");
  deepEqual(await contents(repository, fifth), {
    "gslbd.yaml": "pools: []\n",
    "more.yaml": "zones:\n",
    "zones/a.zone": `${"; a comment\n".repeat(500)}a3`,
  });
  // Moved by force to where it doesn't descend from what was applied.
  const other = await git.commit({ "gslbd.yaml": "pools:\n" }, { onto: [second] });
  deepEqual(await repository.fetch({ known: fifth, signal }), { head: other });
  equal(await repository.descends(other, fifth), "no");
  // Annotated tags of a commit, and no others.
  deepEqual(await repository.tags(other), []);
  await git.git(["tag", "-m", "first release", "v1", other]);
  await git.git(["tag", "-m", "of a tag", "v1-again", "v1"]);
  await git.git(["tag", "light", other]);
  await git.git(["tag", "-m", "another", "v0", second]);
  const tags = (await repository.tags(other)).map((bytes) => new TextDecoder().decode(bytes));
  equal(tags.length, 1);
  ok(tags[0]!.startsWith(`object ${other}\ntype commit\ntag v1\n`), tags[0]);
  // A merge whose second parent is what was applied.
  const merge = await git.commit({}, { onto: [other, fifth] });
  await repository.fetch({ known: third, signal });
  equal(await repository.descends(merge, third), "yes");
  await git.git(["tag", "-d", "v0", "v1", "v1-again", "light"]);
}

testWith(["git"], "a branch is fetched by its path", async () => {
  await using git = await GitFixture.create();
  await live(git, { url: git.path });
  await live(git, { url: `file://${git.path}` });
});

testWith(["git"], "a branch of a repository with SHA-256 ids is fetched", async () => {
  await using git = await GitFixture.create(["--object-format=sha256"]);
  await live(git, { url: git.path });
});

testWith(["git"], "a branch is fetched over HTTPS, in both versions of the protocol", async () => {
  await using git = await GitFixture.create();
  for (const version of [2, 0] as const) {
    await using server = await GitHttps.serve(git.folder, { version });
    await live(git, { url: `${server.url}/dns.git/`, caCerts: [server.authority] });
  }
  // With a server that can leave files out of history.
  await git.git(["config", "uploadpack.allowFilter", "true"]);
  for (const version of [2, 0] as const) {
    await using server = await GitHttps.serve(git.folder, { version });
    await live(git, { url: `${server.url}/dns.git`, caCerts: [server.authority] });
  }
});

testWith(["git"], "an unchanged branch costs one round trip", async () => {
  await using git = await GitFixture.create();
  await using server = await GitHttps.serve(git.folder);
  const head = await git.commit({ "a.yaml": "a" });
  await using repository = open({
    url: `${server.url}/dns.git`,
    caCerts: [server.authority],
    folder: `${git.folder}/store`,
  });
  await repository.fetch({ known: null, signal });
  const before = server.requests.length;
  deepEqual(await repository.fetch({ known: head, signal }), { head });
  equal(server.requests.length - before, 1);
});

testWith(["git"], "of a new commit only what has changed is sent", async () => {
  await using git = await GitFixture.create();
  await using server = await GitHttps.serve(git.folder);
  await git.commit(Object.fromEntries(
    Array.from({ length: 100 }, (_, index) => [`${index}.yaml`, crypto.randomUUID().repeat(2)]),
  ));
  for (const url of [git.path, `${server.url}/dns.git`]) {
    const folder = `${git.folder}/${crypto.randomUUID()}`;
    await using repository = open({ url, caCerts: [server.authority], folder });
    await repository.fetch({ known: null, signal });
    await git.commit({ "7.yaml": crypto.randomUUID() });
    await repository.fetch({ known: null, signal });
    const [all, changed] = [1, 2].map((number) =>
      JSON.parse(
        Deno.readTextFileSync(`${folder}/${number}.list`).split("\n")[1]!,
      ).rows.length
    );
    equal(all, 102);
    // The commit, its folder and the file, and what they are differences from.
    ok(changed <= 6, `${changed} objects`);
  }
});

testWith(["git"], "credentials go to the origin of the URL and nowhere else", async () => {
  await using git = await GitFixture.create();
  await git.commit({ "a.yaml": "a" });
  await using elsewhere = await GitHttps.serve(git.folder);
  await using server = await GitHttps.serve(git.folder, {
    credentials: "deploy:s3cret",
    instead: ({ url }) => {
      const { pathname, search } = new URL(url);
      const to = (target: string) =>
        new Response(null, { status: 301, headers: { location: target + search } });
      if (pathname.startsWith("/moved/")) return to(pathname.replace("/moved/", "/dns.git/"));
      if (pathname.startsWith("/away/")) return to(elsewhere.url + pathname.replace("/away/", "/dns.git/"));
      if (pathname.startsWith("/round/")) return to(pathname);
      return null;
    },
  });
  const fetched = (path: string, auth: Partial<RepositoryAuth>) => async () => {
    const caCerts = [server.authority, elsewhere.authority];
    await using repository = open({
      url: `${server.url}${path}`,
      auth,
      caCerts,
      folder: `${git.folder}/store`,
    });
    await repository.fetch({ known: null, signal });
  };
  await fetched("/dns.git", { user: "deploy", password: "s3cret" })();
  await fetched("/dns.git", { user: "deploy", token: "s3cret" })();
  await fetched("/moved", { user: "deploy", password: "s3cret" })();
  ok(server.requests.some(({ path }) => path.startsWith("/moved/")));
  await rejects(fetched("/dns.git", {}), failure("denied", /refuses access \(401\): see gitops\.auth/));
  await rejects(fetched("/dns.git", { user: "deploy", password: "wrong" }), failure("denied", /401/));
  await rejects(
    fetched("/away", { user: "deploy", password: "s3cret" }),
    failure(
      "denied",
      /redirects to https:\/\/127\.0\.0\.1:\d+\/dns\.git, which isn't followed: set gitops\.repoURL/,
    ),
  );
  await rejects(
    fetched("/round", { user: "deploy", password: "s3cret" }),
    failure("unreachable", /again and again/),
  );
  deepEqual(elsewhere.requests, [] satisfies GitRequest[]);
  throws(
    () => open({ url: "http://127.0.0.1/dns.git", auth: { token: "s3cret" }, folder: git.folder }),
    failure("url", /would show the credentials/),
  );
});

testWith(["git"], "what can't be fetched says why", async () => {
  await using git = await GitFixture.create();
  await git.commit({ "a.yaml": "a" });
  await using server = await GitHttps.serve(git.folder, {
    instead: ({ url }) => {
      const { pathname } = new URL(url);
      if (pathname.startsWith("/page/")) return new Response("<h1>Welcome</h1>");
      if (pathname.startsWith("/ill/")) return new Response(null, { status: 503 });
      const type = { "content-type": "application/x-git-upload-pack-advertisement" };
      if (pathname.startsWith("/noise/")) return new Response("how do you do", { headers: type });
      if (pathname.startsWith("/cut/")) return new Response("0042# service", { headers: type });
      if (pathname.startsWith("/refuses/")) {
        return new Response(packetLine("ERR access denied, \u001b[31mask Ada\n about it"), { headers: type });
      }
      if (pathname.startsWith("/many/")) return new Response("0009refs\n".repeat(1000), { headers: type });
      return null;
    },
  });
  const caCerts = [server.authority];
  const fetched = (way: Partial<OpenTerms>) => async () => {
    const folder = `${git.folder}/store`;
    await using repository = open({ url: git.path, caCerts, folder, ...way });
    await repository.fetch({ known: null, signal });
  };
  const at = (path: string) => fetched({ url: `${server.url}/${path}`, bounds: { refBytes: 1000 } });
  await rejects(fetched({ branch: "production" }), failure("missing", /has no branch production/));
  await rejects(fetched({ url: `${git.folder}/none` }), failure("missing", /no repository at ".*none"/));
  await rejects(fetched({ url: git.folder }), failure("missing", /no repository at/));
  await rejects(at("none.git"), failure("missing", /has no such repository \(404\).*gitops\.auth/));
  await rejects(at("page"), failure("missing", /not as a Git server does/));
  await rejects(at("ill"), failure("unreachable", /answers 503/));
  await rejects(at("noise"), failure("damaged", /isn't one of a Git server/));
  await rejects(at("cut"), failure("unreachable", /ended its answer too early/));
  await rejects(at("refuses"), failure("denied", /The Git server says: access denied, \[31mask Ada about/));
  await rejects(at("many"), failure("bound", /list exceeds 1000 bytes \(refBytes\)/));
  await rejects(
    fetched({ url: `${server.url}/dns.git`, caCerts: [] }),
    failure("unreachable", /Can't reach 127.*certificate/i),
  );
  await rejects(
    fetched({ url: "https://127.0.0.1:1/dns.git" }),
    failure("unreachable", /Can't reach 127\.0\.0\.1:1/),
  );
  throws(
    () => open({ url: git.path, branch: "a..b", folder: git.folder }),
    failure("name", /No branch can be called "a..b"/),
  );
});

Deno.test("a program that isn't installed is said at once, with what to install", async () => {
  const path = Deno.env.get("PATH")!;
  const folder = await Deno.makeTempDir();
  Deno.env.set("PATH", folder);
  try {
    throws(
      () => open({ url: "/srv/dns.git", folder }),
      failure("program", /needs the program git.*install git$/),
    );
    throws(
      () => open({ url: "git@example.org:dns.git", folder }),
      failure("program", /program ssh.*openssh-client/),
    );
    await open({ url: "https://example.org/dns.git", folder })[Symbol.asyncDispose]();
  } finally {
    Deno.env.set("PATH", path);
    await Deno.remove(folder, { recursive: true });
  }
});

testWith(["git"], "a fetch ends with its signal, and after its time", async () => {
  await using git = await GitFixture.create();
  const waiting: (() => void)[] = [];
  const asked = Promise.withResolvers<void>();
  await using server = await GitHttps.serve(git.folder, {
    instead: () =>
      new Promise((resolve) => {
        waiting.push(() => resolve(new Response(null, { status: 503 })));
        asked.resolve();
      }),
  });
  const way = { url: `${server.url}/dns.git`, caCerts: [server.authority], folder: `${git.folder}/store` };
  {
    await using repository = open(way);
    const controller = new AbortController();
    const fetching = repository.fetch({ known: null, signal: controller.signal });
    await asked.promise;
    controller.abort();
    await rejects(fetching, failure("aborted", /ended/));
    await rejects(repository.fetch({ known: null, signal: controller.signal }), failure("aborted", /ended/));
  }
  {
    await using repository = open({ ...way, bounds: { timeMs: 50 } });
    await rejects(
      repository.fetch({ known: null, signal }),
      failure("unreachable", /more than 0\.05 s \(timeMs\)/),
    );
  }
  waiting.forEach((answer) => answer());
});
