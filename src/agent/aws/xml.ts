/**
 * As much of XML as answers of AWS have: elements without mixed content, and a root that must be closed, so that a text
 * that was cut off is never taken for a short one.
 *
 * @module
 */

/** The inside of each element of that name that isn't inside of another one of it. */
export function elementsOf(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}(?:\\s[^>]*)?>([\\s\\S]*?)</${name}>`, "g"))].map(([, inner]) =>
    inner!
  );
}

/** The text of the first element of that name; `null` = there is none. */
export function textAt(xml: string, name: string): string | null {
  const [inner] = elementsOf(xml, name);
  return inner === undefined ? null : unescaped(inner.trim());
}

/** Refuses a text whose root isn't closed. @throws {SyntaxError} */
export function expectWhole(xml: string, root: string): void {
  if (!xml.trimEnd().endsWith(`</${root}>`)) throw new SyntaxError(`The answer isn't a whole ${root}`);
}

/** A text as it stands inside of an element. */
export function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll(
    '"',
    "&quot;",
  );
}

function unescaped(text: string): string {
  return text.replaceAll(
    /&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi,
    (whole, decimal: string | undefined, hex: string | undefined, name: string | undefined) => {
      if (name !== undefined) return ENTITIES[name] ?? whole;
      return String.fromCodePoint(decimal === undefined ? parseInt(hex!, 16) : Number(decimal));
    },
  );
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
