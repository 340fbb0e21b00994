/**
 * Places for connections: so many in all and so many of one client. Where all are taken, one gives way to the next that
 * comes, and first one of a client that has more than its share: who opens hundreds loses one of those, and a client with
 * one query keeps its only one.
 *
 * @module
 */

/** How many connections there may be at the same time. */
export interface PlaceLimits {
  /** In all. */
  readonly maxConnections: number;
  /** Of one client. */
  readonly maxConnectionsPerClient: number;
}

/** The connections that there are. */
export class Places<Connection> {
  readonly #limits: PlaceLimits;
  /** With their clients, in the order in which they were last busy, as those of each client are. */
  readonly #all = new Map<Connection, string>();
  readonly #ofClients = new Map<string, Set<Connection>>();

  /** Nothing is taken. */
  constructor(limits: PlaceLimits) {
    this.#limits = limits;
  }

  /** How many are taken. */
  get size(): number {
    return this.#all.size;
  }

  /** All connections, those first that have been idle for longest. */
  [Symbol.iterator](): IterableIterator<Connection> {
    return this.#all.keys();
  }

  /** Takes a place, whether or not there is one. */
  take(connection: Connection, client: string): void {
    this.#all.set(connection, client);
    const own = this.#ofClients.get(client);
    if (own) own.add(connection);
    else this.#ofClients.set(client, new Set([connection]));
  }

  /** Notes that a connection was busy just now. */
  refresh(connection: Connection): void {
    const client = this.#all.get(connection);
    if (client === undefined) return;
    this.#all.delete(connection);
    this.#all.set(connection, client);
    const own = this.#ofClients.get(client)!;
    own.delete(connection);
    own.add(connection);
  }

  /** Gives a place back; may be called twice. */
  release(connection: Connection): void {
    const client = this.#all.get(connection);
    if (client === undefined) return;
    this.#all.delete(connection);
    const own = this.#ofClients.get(client)!;
    own.delete(connection);
    if (own.size === 0) this.#ofClients.delete(client);
  }

  /**
   * Of which connections one would have to give way to another one of this client, in the order in which they should; `null` = of
   * none, there is a place.
   */
  rivals(client: string): Iterable<Connection> | null {
    const { maxConnections, maxConnectionsPerClient } = this.#limits;
    const own = this.#ofClients.get(client);
    if (own && own.size >= maxConnectionsPerClient) return own;
    return this.#all.size >= maxConnections ? this.#byShare(own ? 0 : 1) : null;
  }

  /** @param newClients 1 = who comes has no connection yet */
  *#byShare(newClients: number): Iterable<Connection> {
    const share = this.#limits.maxConnections / (this.#ofClients.size + newClients);
    const has = (client: string) => this.#ofClients.get(client)!.size;
    for (const [connection, client] of this.#all) if (has(client) > share) yield connection;
    for (const [connection, client] of this.#all) if (has(client) <= share) yield connection;
  }
}
