/**
 * Clients that follow a look-up, on a thread of their own: so many at a time, by streams or by questions that wait.
 *
 * @module
 */

/** What they follow. */
export interface ClientsOrder {
  readonly hostname: string;
  readonly port: number;
  readonly path: string;
  /** How many of each kind; those that stall never read what they have asked for. */
  readonly streams: number;
  readonly polls: number;
  readonly stalled: number;
  /** What the first state has, and the one that is waited for. */
  readonly first: string;
  readonly last: string;
}

/** `ready` = all of them wait; `told` = all but those that stall have the last state. Milliseconds since the epoch. */
export type ClientsReport =
  | { readonly kind: "ready" }
  | { readonly kind: "told"; readonly atMs: number }
  | { readonly kind: "failed"; readonly reason: string };

/** Connections that are opened at a time. */
const OPENED = 50;
const scope = globalThis as unknown as {
  onmessage: ((event: MessageEvent<ClientsOrder>) => void) | null;
  postMessage(report: ClientsReport): void;
};

scope.onmessage = ({ data: order }) =>
  void follow(order).catch((error) => scope.postMessage({ kind: "failed", reason: String(error) }));

async function follow(order: ClientsOrder): Promise<void> {
  const { streams, polls, stalled } = order;
  const clients = [
    ...Array.from({ length: streams }, () => new Client(order, "stream")),
    ...Array.from({ length: polls }, () => new Client(order, "poll")),
    ...Array.from({ length: stalled }, () => new Client(order, "stalled")),
  ];
  for (let at = 0; at < clients.length; at += OPENED) {
    await Promise.all(clients.slice(at, at + OPENED).map((client) => client.open()));
  }
  const told = Promise.all(clients.map((client) => client.told()));
  scope.postMessage({ kind: "ready" });
  await told;
  scope.postMessage({ kind: "told", atMs: performance.timeOrigin + performance.now() });
}

class Client {
  readonly #order: ClientsOrder;
  readonly #kind: "stream" | "poll" | "stalled";
  readonly #buffer = new Uint8Array(4096);
  readonly #decoder = new TextDecoder();
  #connection: Deno.Conn | null = null;
  #heard = "";

  constructor(order: ClientsOrder, kind: "stream" | "poll" | "stalled") {
    this.#order = order;
    this.#kind = kind;
  }

  async open(): Promise<void> {
    const { hostname, port, first } = this.#order;
    this.#connection = await Deno.connect({ hostname, port });
    if (this.#kind !== "poll") {
      await this.#ask("Accept: text/event-stream");
      if (this.#kind === "stream") await this.#hear(first);
      return;
    }
    await this.#ask("Accept: application/json");
    await this.#hear(first);
    await this.#askAgain();
  }

  async told(): Promise<void> {
    if (this.#kind === "stalled") return;
    await this.#hear(this.#order.last);
    // As who follows by questions does, while others are still told.
    if (this.#kind === "poll") await this.#askAgain();
  }

  async #askAgain(): Promise<void> {
    const etag = /etag: (\S+)/i.exec(this.#heard)![1]!;
    this.#heard = "";
    await this.#ask(`If-None-Match: ${etag}`, "?wait=60");
  }

  async #ask(header: string, query = ""): Promise<void> {
    const { hostname, port, path } = this.#order;
    const request = `GET ${path}${query} HTTP/1.1\r\nHost: ${hostname}:${port}\r\n${header}\r\n\r\n`;
    await this.#connection!.write(new TextEncoder().encode(request));
  }

  async #hear(text: string): Promise<void> {
    while (!this.#heard.includes(text)) {
      const size = await this.#connection!.read(this.#buffer);
      if (size === null) throw new Error(`A connection ended: ${this.#heard}`);
      this.#heard = (this.#heard + this.#decoder.decode(this.#buffer.subarray(0, size), { stream: true }))
        .slice(-2000);
    }
  }
}
