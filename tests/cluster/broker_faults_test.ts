/** @module A whole node towards servers that it can't use, or not as it should: each fault is said, and DNS goes on. */
import { equal } from "node:assert/strict";
import { jetstreamManager } from "@nats-io/jetstream";
import { NatsConnectionImpl } from "@nats-io/nats-core/internal";
import { useDenoTransport } from "../../src/nats/transport.ts";
import type { Settings } from "../../src/settings/settings.ts";
import { TestAuthority } from "../health/certificates.ts";
import { NatsServer } from "../nats/server.ts";
import { testWith } from "../programs.ts";
import { ask, call, startTestNode, TEST_SETTINGS, type TestNode, until } from "../test_node.ts";

type Nats = Settings["state"]["nats"];

/** What of the settings a case has for itself. */
interface Given {
  readonly servers: readonly string[];
  readonly tls?: Partial<Nats["tls"]>;
  readonly auth?: Partial<Nats["auth"]>;
}

function settingsOf({ servers, tls, auth }: Given): Settings {
  const { dns, state } = TEST_SETTINGS;
  const nats = {
    ...state.nats,
    servers,
    tls: { ...state.nats.tls, ...tls },
    auth: { ...state.nats.auth, ...auth },
  };
  return { ...TEST_SETTINGS, dns: { ...dns, domain: ["example.org"] }, state: { ...state, nats } };
}

/** What `/status` says is wrong, a line each. */
async function faultsOf(node: TestNode): Promise<string> {
  const { nats } = (await call(node, "GET", "/status")).json as {
    readonly nats: { readonly faults: string[] };
  };
  return nats.faults.join("\n");
}

testWith(
  ["nats-server"],
  "whatever is wrong with servers a node says it, and answers, and goes by other settings at once",
  async () => {
    const [ours, theirs] = [await TestAuthority.create("ours"), await TestAuthority.create("theirs")];
    await using cleaning = new AsyncDisposableStack();
    const folder = await Deno.makeTempDir({ prefix: "pleiades-faults-" });
    cleaning.defer(() => Deno.remove(folder, { recursive: true }));
    const encrypted = async (name: string, dates: Parameters<TestAuthority["issue"]>[0] = {}) => {
      const { cert, key } = await ours.issue({ ipAddresses: ["127.0.0.1"], ...dates });
      await Deno.writeTextFile(`${folder}/${name}.pem`, cert);
      await Deno.writeTextFile(`${folder}/${name}.key`, key);
      const files = `cert_file: "${folder}/${name}.pem", key_file: "${folder}/${name}.key"`;
      // On a busy machine a handshake may take longer than the server's two seconds.
      const config = `tls { ${files}, timeout: 60 }\n`;
      return cleaning.use(await NatsServer.start({ jetStream: false, scheme: "tls", config }));
    };
    const good = await encrypted("good");
    const expired = await encrypted("old", { notBefore: new Date(0), notAfter: new Date(86_400_000) });
    const bare = cleaning.use(await NatsServer.start({ jetStream: false }));
    const locked = cleaning.use(
      await NatsServer.start({
        config: `authorization {
          timeout: 60
          users: [
            { user: all, password: right },
            { user: few, password: right, permissions: { publish: ["gslb.>"], subscribe: ["gslb.>", "_INBOX.>"] } }
          ]
        }\n`,
      }),
    );
    useDenoTransport();
    const operator = await NatsConnectionImpl.connect({ servers: [locked.url], user: "all", pass: "right" });
    cleaning.defer(() => operator.close());
    await (await jetstreamManager(operator)).streams.add({
      name: "KV_gslb_test_health",
      subjects: ["$KV.gslb_test_health.>"],
      max_msgs_per_subject: 64,
    });

    const as = (user: string, password = "right") => ({ servers: [locked.url], auth: { user, password } });
    const cases: readonly (readonly [given: Given, fault: RegExp, connected: string])[] = [
      [{ servers: [good.url], tls: { ca: theirs.cert } }, /is of an authority that isn't trusted/, "0"],
      [{ servers: [expired.url], tls: { ca: ours.cert } }, /the server's certificate has expired/, "0"],
      [{ servers: [bare.url.replace("nats:", "tls:")] }, /the server offers no TLS/, "0"],
      [as("all", "wrong"), /the server refuses the credentials/, "0"],
      [as("few"), /this user may not publish to \$JS\.API\./, "1"],
      [as("all"), /the bucket gslb_test_health keeps a history of 64, and 1 is enough/, "1"],
      [{ servers: [bare.url] }, /the server offers no JetStream here/, "1"],
    ];
    await using node = await startTestNode(settingsOf(cases[0]![0]));
    for (const [i, [given, fault, connected]] of cases.entries()) {
      if (i > 0) await node.node.use(settingsOf(given));
      await until(() => faultsOf(node), (faults) => fault.test(faults));
      equal((await ask(node, "www.example.org")).rcode, 3, "DNS goes on");
      const metrics = await (await fetch(node.api.replace("/api/v1", "/metrics"))).text();
      equal(/^pleiades_state_nats_connected\{[^}]*\} (\d)$/m.exec(metrics)?.[1], connected, String(fault));
    }
  },
);
