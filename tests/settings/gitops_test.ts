/** @module What `gitops` may be in the settings, and what becomes of it. */
import { deepEqual } from "node:assert/strict";
import { formatProblem } from "../../src/input/yaml_source.ts";
import { loadSettings } from "../../src/settings/settings.ts";

function load(lines: string, flags: { readonly db?: string } = {}) {
  const folder = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(`${folder}/allowed_signers`, "");
    Deno.writeTextFileSync(`${folder}/p.yaml`, lines);
    const { settings, problems } = loadSettings({ file: `${folder}/p.yaml`, env: {}, flags });
    const shown = (text: string) => text.replaceAll(folder, "");
    return { gitops: settings?.gitops ?? null, problems: problems.map(formatProblem).map(shown), shown };
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

const FINGERPRINT = "0123456789abcdef0123456789ABCDEF01234567";

Deno.test("without a repository there is no GitOps, and nothing else of it is asked for", () => {
  const { gitops, problems } = load("gitops: { requireSignature: true }\n");
  deepEqual([gitops, problems], [null, []]);
});

for (
  const [lines, problem] of [
    [
      "gitops: { repoURL: https://git.example.org/dns.git }",
      "/p.yaml:1:9: gitops.requireSignature is true and gitops.allowedSigners is empty, so no commit could be applied (name fingerprints, or a file of allowed signers)",
    ],
    [
      "gitops: { pathPrefix: a/../.. }",
      '/p.yaml:1:23: gitops.pathPrefix must not lead out of the repository, is "a/../.."',
    ],
    [
      "gitops: { pathPrefix: /etc }",
      '/p.yaml:1:23: gitops.pathPrefix must be relative to the repository, is "/etc"',
    ],
    [
      "gitops: { pathPrefix: .git }",
      '/p.yaml:1:23: gitops.pathPrefix must be a folder of the repository such as sites/fra1, is ".git"',
    ],
    [
      "gitops: { branch: --upload-pack=x }",
      '/p.yaml:1:19: gitops.branch must be the name of a branch, is "--upload-pack=x"',
    ],
    ["gitops: { branch: a..b }", '/p.yaml:1:19: gitops.branch must be the name of a branch, is "a..b"'],
    [
      "gitops: { since: f2d43b5 }",
      '/p.yaml:1:18: gitops.since must be the whole id of a commit (git rev-parse HEAD), is "f2d43b5"',
    ],
    [
      "gitops: { repoURL: /x, requireSignature: false, webhook: { secret: 0123456789abcde } }",
      "/p.yaml:1:68: gitops.webhook.secret must have 16 bytes or more, or it can be guessed (openssl rand -hex 16)",
    ],
    [
      "gitops: { repoURL: ext::sh -c id, requireSignature: false }",
      '/p.yaml:1:20: gitops.repoURL: The URL of the repository begins with "ext::", which would run a program',
    ],
    [
      "gitops: { repoURL: https://ada:geheim@git.example.org/x, requireSignature: false }",
      "/p.yaml:1:20: gitops.repoURL: The URL of the repository has a password in it: write it to gitops.auth.password",
    ],
    [
      "gitops: { repoURL: /x, requireSignature: false, keyring: none.asc }",
      "/p.yaml:1:58: none.asc can't be read: there is no such file",
    ],
    [
      "gitops: { repoURL: /x, requireSignature: false }\ndatabase: { path: none }",
      "/p.yaml:1:20: gitops needs a database (database.path is none)",
    ],
  ] as const
) {
  Deno.test(`${lines} is refused`, () => deepEqual(load(`${lines}\n`).problems, [problem]));
}

Deno.test("signers are fingerprints, or files beside the settings", () => {
  const spaced = FINGERPRINT.replaceAll(/.{4}/g, "$& ").trim();
  const { gitops, problems, shown } = load(
    `gitops: { repoURL: /x, allowedSigners: [ "${spaced}", allowed_signers, "SHA256:${"A".repeat(43)}" ] }\n`,
  );
  deepEqual(problems, []);
  deepEqual(gitops!.allowedSigners.map(shown), [FINGERPRINT, "/allowed_signers", `SHA256:${"A".repeat(43)}`]);
});
