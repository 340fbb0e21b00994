/**
 * The certificate of encrypted DNS as a part of a node: shown, and replaced by a reload.
 *
 * @module
 */
import { equal, match, ok } from "node:assert/strict";
import { parseSocketAddress } from "../../src/ip.ts";
import type { Settings } from "../../src/settings/settings.ts";
import { type Identity, selfSigned } from "../health/certificates.ts";
import { call, startTestNode, TEST_SETTINGS, until } from "../test_node.ts";

const ENDS = new Date(Math.floor(Date.now() / 1000) * 1000 + 3_600_000);

/** Settings of a node that answers encrypted DNS, or doesn't. */
function withCertificate(certificate: Identity | null): Settings {
  const { dns } = TEST_SETTINGS;
  const tls = { ...dns.tls, certFile: "dns.crt", keyFile: "dns.key", port: 0, certificate };
  return { ...TEST_SETTINGS, dns: { ...dns, tls, https: { ...dns.https, port: 0 } } };
}

function issued(): Promise<Identity> {
  return selfSigned({ ipAddresses: ["127.0.0.1"], notAfter: ENDS });
}

type Listeners = readonly { readonly transport: string; readonly address: string }[];

Deno.test("a reload with another certificate has it served, where status says, and metrics say when it ends", async () => {
  const [first, second] = [await issued(), await issued()];
  await using node = await startTestNode(withCertificate(first));
  const { json } = await call(node, "GET", "/status");
  const { listeners } = (json as { readonly dns: { readonly listeners: Listeners } }).dns;
  equal(listeners.map(({ transport }) => transport).join(), "udp,tcp,tls,https");
  const isServed = async ({ cert }: Identity) => {
    const to = parseSocketAddress(listeners.find(({ transport }) => transport === "tls")!.address);
    using client = await Deno.connectTls({ ...to, caCerts: [cert], alpnProtocols: ["dot"] });
    return await client.handshake().then(() => true, () => false);
  };
  ok(await isServed(first) && !await isServed(second));
  await node.node.use(withCertificate(second));
  await until(() => isServed(second), (isThere) => isThere);
  const metrics = await (await fetch(new URL("/metrics", node.api))).text();
  match(metrics, new RegExp(`^pleiades_dns_certificate_end_seconds\\{.*\\} ${ENDS.getTime() / 1000}$`, "m"));
});

Deno.test("encrypted DNS doesn't begin or end with a reload, which says so", async () => {
  for (
    const [from, to, what] of [[null, await issued(), "begins"], [await issued(), null, "ends"]] as const
  ) {
    await using node = await startTestNode(withCertificate(from));
    await node.node.use(withCertificate(to));
    ok(node.lines.some((line) => line.includes(`Encrypted DNS ${what} at the next start`)));
  }
});
