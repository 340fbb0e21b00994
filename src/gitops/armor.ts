/**
 * ASCII armor: binary data between `-----BEGIN X-----` and `-----END X-----`, of OpenPGP (RFC 9580 §6) and of SSH
 * signatures (PROTOCOL.sshsig).
 *
 * @module
 */

/**
 * The bytes in an armored text that holds one block and nothing else.
 *
 * @param label what stands behind `BEGIN` and `END`
 * @param headers whether lines such as `Version: …` and an empty one stand before the data, as OpenPGP has it
 * @returns `null` when it isn't one whole block
 */
export function dearmor(
  text: string,
  label: string,
  { headers }: { readonly headers: boolean },
): Uint8Array<ArrayBuffer> | null {
  const lines = text.split("\n").map((line) => line.trimEnd());
  while (lines.at(-1) === "") lines.pop();
  if (lines.shift() !== `-----BEGIN ${label}-----` || lines.pop() !== `-----END ${label}-----`) return null;
  if (headers) {
    const empty = lines.indexOf("");
    if (empty < 0 || lines.slice(0, empty).some((line) => !/^[^\s:]+:/.test(line))) return null;
    lines.splice(0, empty + 1);
    if (/^=[A-Za-z0-9+/]{4}$/.test(lines.at(-1) ?? "")) {
      return checked(lines.join("").slice(0, -5), lines.at(-1)!);
    }
  }
  return decodeBase64(lines.join(""));
}

/** The bytes, unless their checksum is another one. */
function checked(base64: string, checksum: string): Uint8Array<ArrayBuffer> | null {
  const bytes = decodeBase64(base64);
  const [high, middle, low] = decodeBase64(checksum.slice(1)) ?? [];
  return bytes && crc24(bytes) === (high! << 16 | middle! << 8 | low!) ? bytes : null;
}

/** The checksum of armored data (RFC 9580 §6.1.1). */
function crc24(bytes: Uint8Array): number {
  let crc = 0xb704ce;
  for (const byte of bytes) {
    crc ^= byte << 16;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x800000 ? (crc << 1 & 0xffffff) ^ 0x864cfb : crc << 1;
  }
  return crc;
}

/** Decodes base64 with its padding; `null` when it isn't that. */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> | null {
  if (text === "" || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return null;
  try {
    return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  } catch {
    return null;
  }
}
