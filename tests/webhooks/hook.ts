/**
 * A receiver of webhooks on loopback that does with each post what a test wants, and remembers what it got.
 *
 * @module
 */

/** A post as it was got. */
export interface GotPost {
  readonly id: string;
  readonly kind: string;
  readonly timestamp: string;
  readonly signature: string;
  readonly body: string;
}

/** Listens on a free port of 127.0.0.1, or on a given one. */
export class Hook implements AsyncDisposable {
  /** Everything that was posted, whatever was answered. */
  readonly posts: GotPost[] = [];
  /** What it does with a post. */
  answer: (post: GotPost) => Response | Promise<Response> = () => new Response("ok");
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #ending = new AbortController();
  #wake = () => {};

  constructor(port = 0) {
    const { signal } = this.#ending;
    const options = { hostname: "127.0.0.1", port, signal, onListen: () => {} };
    this.#server = Deno.serve(options, async (request) => {
      const header = (name: string) => request.headers.get(`pleiades-${name}`) ?? "";
      const post: GotPost = {
        ...{ id: header("delivery"), kind: header("event"), timestamp: header("timestamp") },
        ...{ signature: header("signature"), body: await request.text() },
      };
      this.posts.push(post);
      this.#wake();
      return await this.answer(post);
    });
  }

  get port(): number {
    return this.#server.addr.port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/hook`;
  }

  /** Resolves when it has got so many posts. */
  async got(count: number): Promise<void> {
    while (this.posts.length < count) await new Promise<void>((resolve) => this.#wake = resolve);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#server.finished;
  }
}
