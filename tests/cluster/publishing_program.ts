/** @module Another program than Pleiades that publishes documents in the cluster "test". */
import { jetstream } from "@nats-io/jetstream";
import { headers as messageHeaders, type NatsConnection } from "@nats-io/nats-core";
import { NatsConnectionImpl } from "@nats-io/nats-core/internal";
import { useDenoTransport } from "../../src/nats/transport.ts";
import type { NatsServer } from "../nats/server.ts";

/** A message of the log. */
export interface Entry {
  readonly bytes: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

/** What such a program does, over a connection of its own. */
export class PublishingProgram implements AsyncDisposable {
  /** To the server. */
  readonly connection: NatsConnection;

  private constructor(connection: NatsConnection) {
    this.connection = connection;
  }

  /** Connects to a server. */
  static async connect({ url }: NatsServer): Promise<PublishingProgram> {
    useDenoTransport();
    return new PublishingProgram(await NatsConnectionImpl.connect({ servers: [url] }));
  }

  /** As the original does: the key, then the stream. */
  async publish(model: object, said: Readonly<Record<string, string>>): Promise<void> {
    const headers = messageHeaders();
    for (const [name, value] of Object.entries(said)) headers.set(name, value);
    const client = jetstream(this.connection);
    for (const subject of ["$KV.gslb_test_config.model", "gslb.test.config"]) {
      await client.publish(subject, JSON.stringify(model), { headers });
    }
  }

  /** A message of the log, as it was published. */
  async entry(seq: number): Promise<Entry> {
    const manager = await jetstream(this.connection).jetstreamManager();
    const { data: bytes, header } = (await manager.streams.getMessage("GSLB_TEST_LOG", { seq }))!;
    return { bytes, headers: Object.fromEntries(header.keys().map((name) => [name, header.get(name)])) };
  }

  /** Puts a message on the log's end. */
  async enter({ bytes, headers: said }: Entry): Promise<void> {
    const headers = messageHeaders();
    for (const [name, value] of Object.entries(said)) {
      if (!name.startsWith("Nats-")) headers.set(name, value);
    }
    await jetstream(this.connection).publish("gslb.test.log", bytes, { headers });
  }

  /** The document; `null` = there is none. */
  async document(): Promise<{ readonly commit: string; readonly text: string } | null> {
    const manager = await jetstream(this.connection).jetstreamManager();
    const key = { last_by_subj: "$KV.gslb_test_config.model" };
    const found = await manager.direct.getMessage("KV_gslb_test_config", key).catch(() => null);
    return found && { commit: found.header.get("Pleiades-Commit"), text: found.string() };
  }

  /** Whether the bucket has a key. */
  async has(key: string): Promise<boolean> {
    const manager = await jetstream(this.connection).jetstreamManager();
    const found = await manager.direct.getMessage("KV_gslb_test_config", {
      last_by_subj: `$KV.gslb_test_config.${key}`,
    });
    return found !== null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connection.close();
  }
}
