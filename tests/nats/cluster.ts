/**
 * Three real NATS servers that are one, with what they store on each of them.
 *
 * @module
 */
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { type NatsConnection, NatsConnectionImpl } from "@nats-io/nats-core/internal";
import { useDenoTransport } from "../../src/nats/transport.ts";
import { freePort } from "../free_port.ts";
import { NatsServer } from "./server.ts";

/** How often it is asked whether servers have found each other, milliseconds. */
const LOOK_MS = 50;

/** The servers. */
export class NatsCluster implements AsyncDisposable {
  /** In their order: n1, n2, n3, or one alone. */
  readonly servers: readonly NatsServer[];

  private constructor(servers: readonly NatsServer[]) {
    this.servers = servers;
  }

  /** Starts so many; resolves when they store. */
  static async start(count: number): Promise<NatsCluster> {
    const ports = Array.from({ length: count }, () => freePort());
    const routes = ports.map((port) => `"nats://127.0.0.1:${port}"`).join(", ");
    const servers = await Promise.all(ports.map((port, i) =>
      NatsServer.prepared({
        config: count === 1 ? "" : `server_name: n${i + 1}\n` +
          `cluster { name: prove, listen: "127.0.0.1:${port}", no_advertise: true, routes: [${routes}] }\n`,
      })
    ));
    const cluster = new NatsCluster(servers);
    await cluster.startAll();
    return cluster;
  }

  /** Starts all again, with what their stores hold; resolves when they store. */
  async startAll(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.start()));
    await this.ready();
  }

  /** Ends all as a power failure would. */
  async killAll(how: { readonly wipe?: boolean } = {}): Promise<void> {
    await Promise.all(this.servers.map((server) => server.kill(how)));
  }

  /** Resolves when streams can be asked for, each of which has a leader. */
  async ready(): Promise<void> {
    for (;;) {
      try {
        return await this.managed(async (manager) => {
          for await (const { config, cluster } of manager.streams.list()) {
            if (cluster !== undefined && !cluster.leader) throw new Error(`${config.name} has no leader`);
          }
        });
      } catch {
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS)); // Time is the subject: an election's.
      }
    }
  }

  /** The server that leads a stream. @throws {Error} when there is no such stream */
  async leaderOf(stream: string): Promise<NatsServer> {
    const leader = await this.managed(async (manager) =>
      (await manager.streams.info(stream)).cluster?.leader
    );
    return leader === undefined ? this.servers[0]! : this.servers[Number(leader.slice(1)) - 1]!;
  }

  /** Has something done as an operator would. */
  async managed<Result>(act: (manager: JetStreamManager) => Promise<Result>): Promise<Result> {
    useDenoTransport();
    const connection: NatsConnection = await NatsConnectionImpl.connect({
      servers: this.servers.map(({ port }) => `127.0.0.1:${port}`),
      ...{ reconnect: false, ignoreClusterUpdates: true, timeout: 1_000 },
    });
    try {
      return await act(await jetstreamManager(connection, { timeout: 1_000 }));
    } finally {
      await connection.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.servers) await server[Symbol.asyncDispose]();
  }
}
