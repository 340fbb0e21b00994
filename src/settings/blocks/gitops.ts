/** @module The settings block `gitops`: the model from a Git repository. */
import { z } from "zod";
import { choice, flag, mustBe, oneOrMore, refuse } from "../../input/fields.ts";
import { readRepositoryUrl, RepositoryUrlFault } from "../../input/repository_url.ts";
import { section } from "../../input/strict_object.ts";
import { mapping, millis, path, secret, text } from "../fields.ts";
import type { FileOf, Loading } from "../loading.ts";
import { database } from "./database.ts";
import { state } from "./state.ts";

const shape = {
  gitops: section(
    mapping({
      repoURL: text("gitops.repoURL").meta({
        description: "Repository, by https, ssh or file; none = no GitOps",
        examples: ["https://git.example.com/dns.git"],
      }),
      branch: z.string({ error: mustBe("gitops.branch", "the name of a branch") }).check((payload) => {
        if (!isBranch(payload.value)) {
          refuse(payload, mustBe("gitops.branch", "the name of a branch")({ input: payload.value }));
        }
      }).default("main").meta({ description: "Branch that is followed", examples: ["main"] }),
      pathPrefix: z.string({ error: mustBe("gitops.pathPrefix", "a folder of the repository") }).check(
        (payload) => {
          const fault = prefixFault(payload.value);
          if (fault !== null) refuse(payload, `gitops.pathPrefix ${fault}`);
        },
      ).default("").meta({
        description: "Folder of the model in the repository; empty = all of it",
        examples: ["sites/fra1"],
      }),
      pollInterval: millis("gitops.pollInterval", { minMs: 1000, maxMs: 86_400_000, byDefault: 30_000 }).meta(
        {
          description: "Time between looks at the branch",
          example: "30s",
        },
      ),
      requireSignature: flag("gitops.requireSignature").default(true).meta({
        description: "Refuse a commit that isn't signed by an allowed signer",
        examples: [true],
      }),
      allowedSigners: oneOrMore(
        "gitops.allowedSigners",
        z.string({ error: mustBe("signer", "a fingerprint or a file") }).min(1, {
          error: mustBe("signer", "a fingerprint or a file"),
        }),
      ).prefault([]).meta({
        description:
          "Whose signatures count: fingerprints of keys of the keyring, or files as ssh-keygen has " +
          "them (allowed_signers)",
        example: "/etc/pleiades/allowed_signers",
      }),
      keyring: path("gitops.keyring").meta({
        description: "File of armored OpenPGP keys; read again at each look",
        examples: ["/etc/pleiades/signers.asc"],
      }),
      signedTags: flag("gitops.signedTags").default(false).meta({
        description: "Whether a signed tag at the commit counts as its signature",
        examples: [true],
      }),
      since: z.string({ error: mustBe("gitops.since", "the id of a commit") }).regex(
        /^([0-9a-f]{40}|[0-9a-f]{64})$/,
        { error: mustBe("gitops.since", "the whole id of a commit (git rev-parse HEAD)") },
      ).nullable().default(null).meta({
        description: "Commit that the first one to be applied must come after; none = the first is trusted",
        examples: ["f2d43b5e1f1d3f4c4b2d8f1c0a9e8d7c6b5a4f3e"],
      }),
      onDrift: choice("gitops.onDrift", ["report", "restore"]).default("report").meta({
        description: "What becomes of objects that are changed by another way: told of, or made again what " +
          "the repository says",
        examples: ["restore"],
      }),
      publish: flag("gitops.publish").default(false).meta({
        description: "Publish what was applied as the cluster's document",
        examples: [false],
      }),
      caFile: path("gitops.caFile").meta({
        description: "Certificates (PEM) that https believes besides the system's",
        examples: ["/etc/pleiades/git-ca.pem"],
      }),
      webhook: section(
        mapping({
          secret: secret("gitops.webhook.secret").meta({
            description: "Secret of POST /gitops/webhook, 16 bytes or more; none = there is no such route",
            examples: ["file:/etc/pleiades/webhook"],
          }),
        }),
        "A push that is told at once instead of at the next look",
      ),
      auth: section(
        mapping({
          sshKeyPath: path("gitops.auth.sshKeyPath").meta({
            description: "Private key for ssh",
            examples: ["/etc/pleiades/git.key"],
          }),
          knownHostsPath: path("gitops.auth.knownHostsPath").meta({
            description: "Keys of the server for ssh; by default those of the system and the user",
            examples: ["/etc/pleiades/known_hosts"],
          }),
          user: text("gitops.auth.user").meta({ description: "User name for https", examples: ["deploy"] }),
          password: secret("gitops.auth.password").meta({
            description: "Its password",
            examples: ["${GIT_PASSWORD}"],
          }),
          token: secret("gitops.auth.token").meta({
            description: "Access token for https",
            examples: ["${GIT_TOKEN}"],
          }),
        }),
        "Credentials for the repository",
      ),
    }),
    "The model from a Git repository",
  ).meta({ reload: "live" }),
};

/** The model from a Git repository. */
export const gitops = {
  shape,
  settings: ({ gitops: file }: FileOf<typeof shape>, loading: Loading) => ({
    gitops: file.repoURL === null ? null : followed({ ...file, repoURL: file.repoURL }, loading),
  }),
};

/** What is written of a repository, with the paths made absolute. */
function followed(
  file: FileOf<typeof shape>["gitops"] & { readonly repoURL: string },
  loading: Loading,
) {
  const at = (key: string, ...more: (string | number)[]) => ["gitops", key, ...more];
  if (file.requireSignature && file.allowedSigners.length === 0 && !loading.isFaulty("gitops")) {
    loading.problem(
      ["gitops"],
      "gitops.requireSignature is true and gitops.allowedSigners is empty, so no commit could be " +
        "applied (name fingerprints, or a file of allowed signers)",
    );
  }
  const fault = urlFault(file.repoURL);
  if (fault !== null) loading.problem(at("repoURL"), fault);
  if (loading.of(database).database.path === "none" && loading.flags.db === undefined) {
    loading.problem(["gitops", "repoURL"], "gitops needs a database (database.path is none)");
  }
  if (file.publish && loading.of(state).state.nats.servers.length === 0) {
    loading.note(
      at("publish"),
      "gitops.publish has no effect without state.nats.servers (set them, or remove it)",
    );
  }
  const { webhook, auth, keyring, caFile, ...rest } = file;
  if (webhook.secret !== null && new TextEncoder().encode(webhook.secret).length < SECRET_BYTES_MIN) {
    loading.problem(
      at("webhook", "secret"),
      `gitops.webhook.secret must have ${SECRET_BYTES_MIN} bytes or more, or it can be guessed (openssl rand -hex 16)`,
    );
  }
  const caCert = caFile && loading.readText(at("caFile"), caFile);
  return {
    ...rest,
    caCerts: caCert === null ? [] : [caCert],
    allowedSigners: file.allowedSigners.map((signer, i) =>
      isFingerprint(signer) ? signer.replaceAll(" ", "") : loading.readable(at("allowedSigners", i), signer)
    ),
    keyring: keyring && loading.readable(at("keyring"), keyring),
    webhookSecret: webhook.secret,
    auth: {
      ...auth,
      sshKeyPath: auth.sshKeyPath && loading.readable(at("auth", "sshKeyPath"), auth.sshKeyPath),
      knownHostsPath: auth.knownHostsPath &&
        loading.readable(at("auth", "knownHostsPath"), auth.knownHostsPath),
    },
  };
}

function urlFault(url: string): string | null {
  try {
    readRepositoryUrl(url);
    return null;
  } catch (error) {
    if (!(error instanceof RepositoryUrlFault)) throw error;
    return `gitops.repoURL: ${error.message}`;
  }
}

/** Guesses aren't counted: whoever knows the route may make as many as the API answers. */
const SECRET_BYTES_MIN = 16;

/** Of an OpenPGP key in hexadecimal digits, or of an SSH key as `ssh-keygen -l` has it. */
function isFingerprint(text: string): boolean {
  return /^(SHA256:[A-Za-z0-9+/]{43}=?|([0-9A-Fa-f] ?){40}|([0-9A-Fa-f] ?){64})$/.test(text);
}

/** The rules of git-check-ref-format(1), as far as names go by that are asked for. */
function isBranch(name: string): boolean {
  return name.length <= 250 && /^(?!-)[^\s~^:?*[\\\p{Cc}]+$/u.test(name) &&
    !/\.\.|@\{|\/\/|(^|\/)\.|\.lock(\/|$)|[/.]$|^\//.test(name);
}

/** Why a folder can't be one of a repository; `null` = it can. */
function prefixFault(prefix: string): string | null {
  if (prefix === "") return null;
  if (prefix.startsWith("/")) return `must be relative to the repository, is ${JSON.stringify(prefix)}`;
  const steps = prefix.replace(/\/$/, "").split("/");
  if (steps.includes("..")) return `must not lead out of the repository, is ${JSON.stringify(prefix)}`;
  if (steps.some((step) => step === "" || step === "." || step === ".git") || /[\\\0\n]/.test(prefix)) {
    return `must be a folder of the repository such as sites/fra1, is ${JSON.stringify(prefix)}`;
  }
  return null;
}
