/**
 * From the bytes of a terminal to keys. Escape sequences are those of xterm and its like (ECMA-48 §5.4, and "PC-Style Function
 * Keys" of https://invisible-island.net/xterm/ctlseqs/ctlseqs.html); what isn't known is dropped as a whole.
 *
 * A sequence may come in pieces, over a slow link a byte at a time. An escape is the key of that name only when nothing has
 * followed it for {@linkcode ESCAPE_MS}, which the caller times.
 *
 * @module
 */

/** What was typed: a key by its name, a character being its own; or text that was pasted. */
export type Input =
  | { readonly kind: "key"; readonly key: string }
  | { readonly kind: "paste"; readonly text: string };

/** The rest of a sequence comes within this time, milliseconds. */
export const ESCAPE_MS = 100;

/** Pasted characters that are taken at most; a form has no longer field. */
const PASTE_MAX = 4_096;
/** So many bytes with a line break among them weren't typed between two reads: a terminal that doesn't say so had text pasted. */
const BURST_BYTES = 16;
/** No key's sequence is longer. */
const SEQUENCE_MAX = 32;

/** Reads keys out of bytes. */
export class KeyDecoder {
  readonly #decoder = new TextDecoder();
  #rest = "";
  #paste: string | null = null;

  /** What these bytes complete. */
  push(bytes: Uint8Array): Input[] {
    const text = this.#decoder.decode(bytes, { stream: true });
    if (this.#paste === null && this.#rest === "" && isBurst(text)) return [pasted(text)];
    this.#rest += text;
    return this.#take();
  }

  /** Whether a sequence has begun and may go on. */
  get isPending(): boolean {
    return this.#paste === null && this.#rest !== "";
  }

  /** What a begun sequence is when nothing more comes. */
  flush(): Input[] {
    if (!this.isPending) return [];
    const rest = this.#rest;
    this.#rest = "";
    return rest === "\x1b" ? [{ kind: "key", key: "escape" }] : [];
  }

  #take(): Input[] {
    const inputs: Input[] = [];
    while (this.#rest !== "") {
      if (this.#paste !== null) {
        if (!this.#takePaste(inputs)) return inputs;
        continue;
      }
      const taken = this.#rest.startsWith("\x1b") ? this.#takeSequence(inputs) : this.#takeCharacter(inputs);
      if (!taken) return inputs;
    }
    return inputs;
  }

  #takeCharacter(inputs: Input[]): boolean {
    const character = String.fromCodePoint(this.#rest.codePointAt(0)!);
    this.#rest = this.#rest.slice(character.length);
    const key = CONTROLS[character] ?? controlKey(character);
    if (key !== null) inputs.push({ kind: "key", key });
    return true;
  }

  /** @returns `false` when more has to come */
  #takeSequence(inputs: Input[]): boolean {
    const found = SEQUENCE.exec(this.#rest);
    if (found === null) {
      if (this.#rest.length <= SEQUENCE_MAX) return false;
      this.#rest = "";
      return true;
    }
    const [whole, parameters, final, single, other] = found;
    // An escape, and then another key: two keys.
    this.#rest = this.#rest.slice(other === undefined ? whole.length : 1);
    if (other !== undefined) inputs.push({ kind: "key", key: "escape" });
    else if (final === "~" && parameters === "200") this.#paste = "";
    else {
      const key = single !== undefined
        ? FINALS[single]
        : final === "~"
        ? TILDES[parameters!]
        : FINALS[final!];
      if (key !== undefined) inputs.push({ kind: "key", key });
    }
    return true;
  }

  #takePaste(inputs: Input[]): boolean {
    const end = this.#rest.indexOf(PASTE_END);
    if (end < 0) {
      // All but what may be the beginning of the end.
      const sure = Math.max(0, this.#rest.length - PASTE_END.length);
      this.#paste = (this.#paste! + this.#rest.slice(0, sure)).slice(0, PASTE_MAX);
      this.#rest = this.#rest.slice(sure);
      return false;
    }
    inputs.push(pasted(this.#paste! + this.#rest.slice(0, end)));
    this.#rest = this.#rest.slice(end + PASTE_END.length);
    this.#paste = null;
    return true;
  }
}

/** CSI with its parameters, SS3, or an escape before anything else. */
const SEQUENCE = new RegExp(String.raw`^\x1b(?:\[([0-9;:<=>?]*)[ -/]*([@-~])|O([@-~])|([^[O]))`);

const PASTE_END = "\x1b[201~";

function isBurst(text: string): boolean {
  return text.length >= BURST_BYTES && !text.includes("\x1b") && /[\r\n][^\r\n]/.test(text);
}

/** A field has one line: line breaks and other control characters are spaces. */
function pasted(text: string): Input {
  return { kind: "paste", text: text.slice(0, PASTE_MAX).replaceAll(/\p{Cc}+/gu, " ").trim() };
}

const CONTROLS: Readonly<Record<string, string>> = {
  "\r": "enter",
  "\n": "enter",
  "\t": "tab",
  "\x7f": "backspace",
  "\b": "backspace",
  " ": "space",
};

/** Ctrl and a letter by its name; other control characters are no keys. */
function controlKey(character: string): string | null {
  const code = character.codePointAt(0)!;
  if (code >= 1 && code <= 26) return `ctrl-${String.fromCharCode(code + 96)}`;
  return /\p{Cc}/u.test(character) ? null : character;
}

const FINALS: Readonly<Record<string, string>> = {
  A: "up",
  B: "down",
  C: "right",
  D: "left",
  F: "end",
  H: "home",
  P: "f1",
  Z: "shift-tab",
};

const TILDES: Readonly<Record<string, string>> = {
  "1": "home",
  "3": "delete",
  "4": "end",
  "5": "page-up",
  "6": "page-down",
  "7": "home",
  "8": "end",
  "11": "f1",
};
