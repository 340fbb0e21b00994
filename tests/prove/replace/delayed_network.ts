/**
 * A network whose packets take their time: a device of the kernel (`tun(4)`) whose other end is this process. What is sent to
 * the peer's address comes back after a delay with both addresses swapped, so that to this machine its own server is another
 * machine far away, handshakes included. It needs root, and a network namespace that may be changed.
 *
 * @module
 */

const SYMBOLS = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32", nonblocking: true },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

const O_RDWR_NONBLOCK = 2 | 0o4000;
const TUNSETIFF = 0x400454can;
/** `IFF_TUN | IFF_NO_PI`. */
const FLAGS = 0x1001;
const POLLIN = 1;
const LOOK_MS = 100;
const DEVICE = "delayed0";

/** Where a server listens to be reached over it. */
export const DELAYED_HOST = "10.119.0.1";
/** What its clients connect to. */
export const DELAYED_PEER = "10.119.0.2";

/** The device with its delay. Disposing takes it away. */
export class DelayedNetwork implements AsyncDisposable {
  readonly #libc: Deno.DynamicLibrary<typeof SYMBOLS>;
  readonly #fd: number;
  readonly #delayMs: number;
  readonly #moving: Promise<void>;
  #isClosed = false;

  private constructor(libc: Deno.DynamicLibrary<typeof SYMBOLS>, fd: number, delayMs: number) {
    this.#libc = libc;
    this.#fd = fd;
    this.#delayMs = delayMs;
    this.#moving = this.#move();
  }

  /** Makes it, each packet taking so long; `null` = this process may not. */
  static async open(delayMs: number): Promise<DelayedNetwork | null> {
    const libc = Deno.dlopen("libc.so.6", SYMBOLS);
    const fd = libc.symbols.open(new TextEncoder().encode("/dev/net/tun\0"), O_RDWR_NONBLOCK);
    const request = new Uint8Array(40); // struct ifreq
    request.set(new TextEncoder().encode(DEVICE));
    new DataView(request.buffer).setUint16(16, FLAGS, true);
    const isMade = fd >= 0 && libc.symbols.ioctl(fd, TUNSETIFF, request) === 0 &&
      await ip("address", "add", `${DELAYED_HOST}/24`, "dev", DEVICE) &&
      await ip("link", "set", DEVICE, "up");
    if (isMade) return new DelayedNetwork(libc, fd, delayMs);
    if (fd >= 0) libc.symbols.close(fd);
    libc.close();
    return null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#moving;
    this.#libc.symbols.close(this.#fd);
    this.#libc.close();
  }

  async #move(): Promise<void> {
    const { read, write, poll } = this.#libc.symbols;
    const waiting = new Uint8Array(8); // struct pollfd
    const view = new DataView(waiting.buffer);
    view.setInt32(0, this.#fd, true);
    view.setInt16(4, POLLIN, true);
    while (!this.#isClosed) {
      const packet = new Uint8Array(2048);
      const size = Number(read(this.#fd, packet, BigInt(packet.length)));
      if (size <= 0) {
        await poll(waiting, 1n, LOOK_MS);
        continue;
      }
      if (packet[0]! >> 4 !== 4) continue;
      // Sums over both stay what they are.
      const from = packet.slice(12, 16);
      packet.copyWithin(12, 16, 20);
      packet.set(from, 16);
      setTimeout(() => this.#isClosed || write(this.#fd, packet, BigInt(size)), this.#delayMs);
    }
  }
}

async function ip(...args: string[]): Promise<boolean> {
  try {
    return (await new Deno.Command("ip", { args, stderr: "null" }).output()).success;
  } catch {
    return false; // no such program
  }
}
