/**
 * Another certificate while clients connect: no handshake may fail, and a pair that can't be served changes nothing.
 *
 * @module
 */
import { type Identity, selfSigned } from "../../health/certificates.ts";
import { freePort } from "../../free_port.ts";
import { Node } from "./node.ts";
import { atMost, type Line } from "./verdict.ts";

/** How a run differs from the full one. */
export interface SwapOptions {
  readonly swaps: number;
  /** Handshakes a second over TLS and HTTPS together. */
  readonly perSecond: number;
  /** Between two swaps. */
  readonly restMs: number;
  readonly onStep: (line: string) => void;
}

/** Runs it. */
export async function swap({ swaps, perSecond, restMs, onStep }: SwapOptions): Promise<Line[]> {
  const identities = await Promise.all(
    Array.from(
      { length: swaps + 1 },
      () => selfSigned({ dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"] }),
    ),
  );
  const [tls, https] = [freePort(), freePort()];
  await using node = await Node.start({
    dns: { tls: { certFile: "dns.crt", keyFile: "dns.key", port: tls }, https: { port: https } },
  }, (folder) => write(folder, identities[0]!));
  const shaking = new Handshakes([[tls, "dot"], [https, "h2"]], identities);
  const done = shaking.run(perSecond);
  for (const [i, identity] of identities.slice(1).entries()) {
    await rest(restMs);
    await write(node.folder, identity);
    const line = await reloaded(node);
    if (!/"Reloaded/.test(line)) throw new Error(`swap ${i + 1}: ${line}`);
    onStep(`swap ${i + 1}: ${shaking.shaken} handshakes, ${shaking.failed.length} failed`);
  }
  await rest(restMs);
  await write(node.folder, { cert: identities.at(-1)!.cert, key: identities[0]!.key });
  const refused = await reloaded(node);
  const before = shaking.shaken;
  await rest(restMs);
  shaking.stop();
  await done;
  for (const fault of shaking.failed.slice(0, 5)) onStep(fault);
  return [
    atMost(`handshakes that failed, of ${shaking.shaken} over ${swaps} swaps`, shaking.failed.length, 0),
    {
      what: "a key of another certificate is refused by its name",
      figure: /dns\.(key|crt)/.exec(refused)?.[0] ?? refused,
      isMet: /"Not reloaded/.test(refused) && /dns\.(key|crt)/.test(refused),
    },
    {
      what: "handshakes with the old one go on",
      figure: String(shaking.shaken - before),
      isMet: shaking.shaken > before,
    },
  ];
}

async function write(folder: string, { cert, key }: Identity): Promise<void> {
  await Deno.writeTextFile(`${folder}/dns.crt`, cert);
  await Deno.writeTextFile(`${folder}/dns.key`, key);
}

async function reloaded({ serve }: Node): Promise<string> {
  const heard = serve.nextLine((line) => /"(Reloaded|Not reloaded)/.test(line));
  serve.kill("SIGHUP");
  return await heard;
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Handshakes at a steady rate. */
class Handshakes {
  shaken = 0;
  readonly failed: string[] = [];
  readonly #ports: readonly (readonly [port: number, alpn: string])[];
  readonly #caCerts: string[];
  #isOver = false;

  constructor(ports: readonly (readonly [port: number, alpn: string])[], identities: readonly Identity[]) {
    this.#ports = ports;
    this.#caCerts = identities.map(({ cert }) => cert);
  }

  stop(): void {
    this.#isOver = true;
  }

  /** Resolves when it was stopped and all have ended. */
  async run(perSecond: number): Promise<void> {
    const startMs = performance.now();
    const underWay: Promise<void>[] = [];
    for (let made = 0; !this.#isOver;) {
      for (const due = (performance.now() - startMs) / 1000 * perSecond; made < due; made++) {
        underWay.push(this.#shake(...this.#ports[made % this.#ports.length]!));
      }
      await rest(2);
    }
    await Promise.all(underWay);
  }

  async #shake(port: number, alpn: string): Promise<void> {
    try {
      using client = await Deno.connectTls({
        ...{ hostname: "127.0.0.1", port, caCerts: this.#caCerts, alpnProtocols: [alpn] },
      });
      await client.handshake();
      this.shaken++;
    } catch (error) {
      this.failed.push(`${alpn}: ${error}`);
    }
  }
}
