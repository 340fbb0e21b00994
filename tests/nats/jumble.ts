/**
 * A network that delivers messages of NATS twice, late and out of order, as a server does that has lost sight of others for a
 * while: only those of subjects that nodes tell each other by, whole, and between other messages.
 *
 * @module
 */

/** Which messages, and what happens to them. */
export interface Jumbling {
  /** What their subjects begin with. */
  readonly subjects: string;
  /** Share that comes twice, percent. */
  readonly twicePercent: number;
  /** Share that comes later than what was said after it, percent. */
  readonly latePercent: number;
  /** How late at most. */
  readonly lateMs: number;
}

const CR = 13;
const LF = 10;

/** What a server says, cut into its messages. */
export class ServerMessages {
  #rest: Uint8Array = new Uint8Array(0);

  /** The messages that are whole by these bytes, each with its lines' ends. */
  push(bytes: Uint8Array): Uint8Array[] {
    const all = new Uint8Array(this.#rest.length + bytes.length);
    all.set(this.#rest);
    all.set(bytes, this.#rest.length);
    const messages: Uint8Array[] = [];
    let from = 0;
    for (let end = endOf(all, from); end !== null; end = endOf(all, from)) {
      messages.push(all.slice(from, end));
      from = end;
    }
    this.#rest = all.slice(from);
    return messages;
  }
}

/** The subject of a message that is delivered; `null` = it is something else. */
export function subjectOf(message: Uint8Array): string | null {
  const line = new TextDecoder().decode(message.subarray(0, message.indexOf(CR)));
  return /^H?MSG (\S+) /.exec(line)?.[1] ?? null;
}

/** Where the message that begins there ends; `null` = not all of it is there. */
function endOf(bytes: Uint8Array, from: number): number | null {
  const lineEnd = bytes.indexOf(LF, from);
  if (lineEnd < 0) return null;
  const line = new TextDecoder().decode(bytes.subarray(from, lineEnd));
  const size = /^H?MSG .* (\d+)\r?$/.exec(line)?.[1];
  const end = size === undefined ? lineEnd + 1 : lineEnd + 1 + Number(size) + 2;
  return end <= bytes.length ? end : null;
}
