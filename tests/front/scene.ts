/**
 * A balancer with two backends that have said hello, and a client of the first one.
 *
 * @module
 */
import { ByteBackend, type ByteSession } from "./byte_backend.ts";
import { ManualFront, UdpClient } from "./manual_front.ts";

/** What a test plays with. */
export interface Scene {
  readonly front: ManualFront;
  /** 5301 and 5302. */
  readonly backends: readonly [ByteBackend, ByteBackend];
  /** Their control sessions. */
  readonly sessions: readonly [ByteSession, ByteSession];
  readonly client: UdpClient;
}

/** A test on such a scene. */
export function scene(name: string, play: (scene: Scene) => Promise<void>): void {
  Deno.test({
    name,
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      await using front = new ManualFront();
      using first = new ByteBackend(front.path("5301"));
      using second = new ByteBackend(front.path("5302"));
      await front.discover();
      const sessions = [await first.greet(), await second.greet()] as const;
      await front.until(() => front.forwarder.backends.all.every((backend) => backend.ok));
      using client = new UdpClient(front.port);
      await play({ front, backends: [first, second], sessions, client });
    },
  });
}

/** Starts the first backend again behind a killed one's file; its session when it takes datagrams. */
export async function startAgain(
  front: ManualFront,
): Promise<{ readonly session: ByteSession; [Symbol.dispose](): void }> {
  Deno.removeSync(front.path("5301"));
  const backend = new ByteBackend(front.path("5301"));
  await front.seconds(2);
  const session = await backend.greet();
  await front.until(() => front.backend(5301).ok);
  return { session, [Symbol.dispose]: () => backend[Symbol.dispose]() };
}

/** Answers every heartbeat until the session ends; what else it is sent is read over. */
export async function answerBeats(session: ByteSession): Promise<void> {
  for (let hex = ""; (hex = await session.read(4)) !== "";) {
    if (hex === "04000000") await session.send("ec030000").catch(() => {});
  }
}
