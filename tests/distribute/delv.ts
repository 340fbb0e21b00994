/**
 * Answers of secondaries as `delv` judges them, which validates as a resolver does, by the keys that the primary has.
 *
 * @module
 */
import { program } from "../programs.ts";
import type { Installation } from "./installation.ts";
import type { PowerDnsServer } from "./power_dns_server.ts";

/** The keys of a zone as the primary's API has them, as text of a file of trust anchors. */
export async function anchorsOf({ primary }: Installation, zone: string, name = zone): Promise<string> {
  const keys: readonly { readonly dnskey: string }[] = JSON.parse(
    (await primary.api("GET", `/zones/${zone}/cryptokeys`)).text,
  );
  const anchors = keys.map(({ dnskey }) => {
    const [flags, protocol, algorithm, key] = dnskey.split(" ");
    return `${name} static-key ${flags} ${protocol} ${algorithm} "${key}";`;
  });
  return `trust-anchors { ${anchors.join(" ")} };\n`;
}

/** What is asked. */
export interface Judged {
  /** Text of a file; of the zone. */
  readonly anchors: string;
  readonly zone: string;
  /** Which server. */
  readonly powerDns: PowerDnsServer;
  /** Of what. */
  readonly name: string;
  readonly type: string;
}

/** What it says: `fully validated` stands in it where the answer, or that there is none, is signed as it should be. */
export async function delvSays({ anchors, zone, powerDns, name, type }: Judged): Promise<string> {
  const file = await Deno.makeTempFile({ prefix: "pleiades-anchors-" });
  try {
    await Deno.writeTextFile(file, anchors);
    const args = ["@127.0.0.1", "-p", `${powerDns.dnsPort}`, "-a", file, `+root=${zone}`, name, type];
    const { stdout, stderr } = await new Deno.Command(program("delv")!, { args }).output();
    return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  } finally {
    await Deno.remove(file);
  }
}
