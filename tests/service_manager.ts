/**
 * A service manager that is a socket of the test.
 *
 * @module
 */

/** Stands for systemd. */
export class ServiceManager implements AsyncDisposable {
  readonly #folder: string;
  readonly #socket: Deno.DatagramConn;
  /** What processes know as `NOTIFY_SOCKET`. */
  readonly path: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.path = `${folder}/notify`;
    this.#socket = Deno.listenDatagram({ transport: "unixpacket", path: this.path });
  }

  static async start(): Promise<ServiceManager> {
    return new ServiceManager(await Deno.makeTempDir({ prefix: "pleiades-manager-" }));
  }

  /** What it is told next. */
  async next(): Promise<string> {
    const [bytes] = await this.#socket.receive();
    return new TextDecoder().decode(bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await Deno.remove(this.#folder, { recursive: true });
  }
}
