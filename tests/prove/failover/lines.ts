/**
 * Lines of a stream of bytes, as the proof and its backends talk to each other.
 *
 * @module
 */

/** Takes bytes, gives complete lines without their breaks. */
export class TextLineStream {
  readonly readable: ReadableStream<string>;
  readonly writable: WritableStream<Uint8Array<ArrayBuffer>>;

  constructor() {
    const decoder = new TextDecoderStream();
    let rest = "";
    const lines = new TransformStream<string, string>({
      transform(text, controller) {
        const parts = (rest + text).split("\n");
        rest = parts.pop()!;
        for (const line of parts) controller.enqueue(line);
      },
    });
    this.writable = decoder.writable as WritableStream<Uint8Array<ArrayBuffer>>;
    this.readable = decoder.readable.pipeThrough(lines);
  }
}
