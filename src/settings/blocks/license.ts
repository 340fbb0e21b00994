/** @module The settings block `license`. */
import { z } from "zod";
import { choice, oneOrMore } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import type { Path } from "../../input/yaml_source.ts";
import { mapping } from "../fields.ts";
import type { FileOf, Loading } from "../loading.ts";
import { state } from "./state.ts";

const shape = {
  license: section(
    mapping({
      secret: oneOrMore("license.secret", secretText("license.secret")).default([]).meta({
        reload: "live",
        variableAlias: "GSLB_LICENSE_SECRET",
        description:
          "Shared secret of tokens, 16 bytes or more; a list while one replaces another, the new one " +
          "first; none = licensing is off",
        example: "${PLEIADES_LICENSE_SECRET}",
      }),
      key: secretText("license.key").nullable().default(null).meta({
        reload: "live",
        variableAlias: "GSLB_LICENSE_KEY",
        description: "The token; without one that counts, a node with a secret gives 10 answers a second",
        examples: ["file:/etc/pleiades/license"],
      }),
      scope: choice("license.scope", ["node", "cluster"]).default("node").meta({
        description:
          "Whether the rate holds for each node, or is split by the nodes of the cluster that are there",
        examples: ["cluster"],
      }),
    }, { aliases: ["licenseKey"] }),
    "How many answers a second the node is licensed for",
  ),
};

/** Licensing. */
export const license = {
  shape,
  settings: ({ license: { secret, key, scope } }: FileOf<typeof shape>, loading: Loading) => {
    const secrets = secret.flatMap((written, i) =>
      secretOf(written, ["license", "secret", i], loading) ?? []
    );
    if (scope === "cluster" && loading.of(state).state.nats.servers.length === 0) {
      loading.note(["license", "scope"], "license.scope cluster has no effect without state.nats.servers");
    }
    return { license: { secret: secrets, scope, ...tokenOf(key, secrets.length > 0, loading) } };
  },
};

/** A secret that can be used; `null` = there is none, and unless nothing is written that is reported. */
function secretOf(written: string, at: Path, loading: Loading): string | null {
  if (written === "") return null;
  const resolved = loading.secret(at, written);
  const fault = "value" in resolved ? secretFault(resolved.value) : resolved.reason;
  if (fault !== null) loading.problem(at, "value" in resolved ? `license.secret ${fault}` : fault);
  return "value" in resolved ? resolved.value : null;
}

/** The token as it is to be judged, and why it couldn't be had where it is written elsewhere. */
interface WrittenToken {
  /** `null` = there is none. */
  readonly key: string | null;
  /** `null` = it could be had. */
  readonly keyFault: string | null;
}

/**
 * A token that can't be read is no error: the node starts, or goes on with the one before. A file that the shell has just
 * made for `pleiades license issue > FILE` is empty when the settings are read.
 */
function tokenOf(key: string | null, isOn: boolean, loading: Loading): WrittenToken {
  if (key === null || key === "") return { key: null, keyFault: null };
  const note = (message: string) => loading.note(["license", "key"], message);
  if (!isOn) {
    note("license.key has no effect without license.secret (set both, or remove it)");
    return { key: null, keyFault: null };
  }
  const resolved = loading.secret(["license", "key"], key);
  if ("value" in resolved) return { key: resolved.value, keyFault: null };
  note(`license.key has no token: ${resolved.reason}`);
  return { key: null, keyFault: resolved.reason };
}

/** A secret that may be empty, as earlier systems write none; it never stands in a message. */
function secretText(name: string) {
  const error = `${name} must be a text: \${ENV_NAME}, file:/path or the secret itself (put it in quotes)`;
  return z.string({ error }).meta({ secret: "own" });
}

/** Bytes of the shortest secret: half of what HMAC-SHA256 can use (RFC 2104 §3), and more than can be guessed. */
const SECRET_BYTES_MIN = 16;

/** Why a secret can't be used, with the fix, behind what it is called; `null` = it can. The secret isn't in it. */
export function secretFault(secret: string): string | null {
  const bytes = new TextEncoder().encode(secret).length;
  return bytes >= SECRET_BYTES_MIN
    ? null
    : `must have ${SECRET_BYTES_MIN} bytes or more, has ${bytes} (make one: openssl rand -hex 32)`;
}
