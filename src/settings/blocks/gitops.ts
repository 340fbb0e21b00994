/** @module The settings block `gitops`: the model from a Git repository. */
import { z } from "zod";
import { flag, mustBe, oneOrMore } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { mapping, millis, path, secret, text } from "../fields.ts";

/** The model from a Git repository. */
export const gitops = {
  shape: {
    gitops: section(
      mapping({
        repoURL: text("repoURL").meta({
          description: "Repository; none = no GitOps",
          examples: ["https://git.example.com/dns.git"],
        }),
        branch: z.string({ error: mustBe("branch", "the name of a branch") }).min(1, {
          error: mustBe("branch", "the name of a branch"),
        })
          .default("main").meta({ description: "Branch that is followed", examples: ["main"] }),
        pathPrefix: z.string({ error: mustBe("pathPrefix", "a folder") }).default("").meta({
          description: "Folder of the model in the repository",
          examples: ["sites/fra1"],
        }),
        pollInterval: millis("pollInterval", { minMs: 1000, maxMs: 86_400_000, byDefault: 30_000 }).meta({
          description: "Time between fetches",
          example: "30s",
        }),
        requireSignature: flag("requireSignature").default(true).meta({
          description: "Refuse a HEAD that isn't signed",
          examples: [true],
        }),
        allowedSigners: oneOrMore(
          "allowedSigners",
          z.string({ error: mustBe("signer", "a fingerprint or a key") }).min(1),
        ).prefault([])
          .meta({
            description: "Fingerprints or keys whose signatures count",
            example: ["SHA256:mVPwvezndPv/ARoIadVY98vAC0g+P/5633yTC4d/wXE"],
          }),
        publish: flag("publish").default(false).meta({
          description: "Publish what was applied to the cluster",
          examples: [false],
        }),
        auth: section(
          mapping({
            sshKeyPath: path("sshKeyPath").meta({
              description: "Private key for SSH",
              examples: ["/etc/pleiades/git.key"],
            }),
            user: text("user").meta({ description: "User name for HTTPS", examples: ["deploy"] }),
            password: secret("gitops.auth.password").meta({
              description: "Its password",
              examples: ["${GIT_PASSWORD}"],
            }),
            token: secret("gitops.auth.token").meta({
              description: "Access token for HTTPS",
              examples: ["${GIT_TOKEN}"],
            }),
          }),
          "Credentials for the repository",
        ),
      }),
      "The model from a Git repository",
    ).meta({ absent: true }),
  },
  settings: () => ({}),
};
