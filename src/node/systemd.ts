/**
 * Talking to the service manager: `sd_notify(3)` without its library, datagrams to the socket it names.
 *
 * @module
 */

/**
 * Sends a state such as `READY=1`; does nothing where no service manager asked for it.
 *
 * Abstract sockets (`@…`), which only systemd instances of other namespaces use, are out of reach without a native
 * call and are left alone.
 *
 * @param path `NOTIFY_SOCKET` of the environment
 */
export async function notify(path: string | undefined, state: string): Promise<void> {
  if (!path?.startsWith("/")) return;
  using manager = await Manager.open(path);
  await manager.send(state);
}

/** What the service manager is told of a process that it watches (`WatchdogSec` of its unit). */
export interface Watched {
  /** The process's environment; nothing is sent unless the manager asked this process for it there. */
  readonly env: Readonly<Record<string, string>>;
  /** Whether the process does what it is there for; as long as it doesn't, nothing is sent. */
  readonly isWell: () => boolean;
  /** Told when the manager can't be reached. */
  readonly onError: (error: unknown) => void;
}

/** So many looks in the time between two signs of life: one that was due while the process wasn't well comes soon after. */
const LOOKS = 10;

/**
 * Sends a sign of life (`WATCHDOG=1`) at half the time after which the manager ends the process (`sd_watchdog_enabled(3)`).
 * What is sent comes from the event loop of the thread that calls this, so it also says that this thread turns.
 */
export async function feedWatchdog({ env, isWell, onError }: Watched): Promise<Disposable> {
  const path = env.NOTIFY_SOCKET;
  const halfMs = Number(env.WATCHDOG_USEC) / 2000;
  const isMeant = env.WATCHDOG_PID === undefined || Number(env.WATCHDOG_PID) === Deno.pid;
  if (!path?.startsWith("/") || !(halfMs > 0) || !isMeant) return { [Symbol.dispose]: () => {} };
  // Opened once, so that a full disk doesn't keep a sign of life back.
  const manager = await Manager.open(path);
  let dueMs = 0;
  const look = () => {
    if (performance.now() < dueMs || !isWell()) return;
    dueMs = performance.now() + halfMs * (1 - 1 / LOOKS);
    manager.send("WATCHDOG=1").catch(onError);
  };
  look();
  const looking = setInterval(look, halfMs / LOOKS);
  return {
    [Symbol.dispose]: () => {
      clearInterval(looking);
      manager[Symbol.dispose]();
    },
  };
}

/** The way to a service manager. */
class Manager implements Disposable {
  readonly #socket: Deno.DatagramConn;
  readonly #path: string;

  private constructor(socket: Deno.DatagramConn, path: string) {
    this.#socket = socket;
    this.#path = path;
  }

  /** Deno's sockets need a name of their own; once they have it, the file may go. */
  static async open(path: string): Promise<Manager> {
    const own = await Deno.makeTempDir({ prefix: "pleiades-notify-" });
    try {
      return new Manager(Deno.listenDatagram({ transport: "unixpacket", path: `${own}/socket` }), path);
    } finally {
      await Deno.remove(own, { recursive: true });
    }
  }

  async send(state: string): Promise<void> {
    await this.#socket.send(new TextEncoder().encode(state), { transport: "unixpacket", path: this.#path });
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}
