/**
 * The data of a LOC record: `52 22 23 N 4 53 32 E -2m 0m 10000m 10m` ↔ 16 bytes.
 *
 * In wire form angles are thousandths of an arc second from 2^31 at the equator and the prime meridian, the altitude is
 * centimetres above 100,000 m below the ellipsoid, and sizes are a digit times a power of ten, in centimetres.
 *
 * Source: RFC 1876 §2, §3.
 *
 * @module
 */

const SIZE = 16;
const MERIDIAN = 2 ** 31;
const BASE_CM = 10_000_000;
/** Metres, with centimetres behind the point; a value may bear its unit. */
const METRES = /^(-?\d{1,8})(?:\.(\d{1,3}))?m?$/i;
/** Of what needn't be written (RFC 1876 §3): a diameter of 1 m, known to 10,000 m and, in height, to 10 m. */
const SIZES_DEFAULT = ["1m", "10000m", "10m"];

/**
 * Reads a location.
 *
 * @param words as they stand in a record, without escapes
 * @throws {SyntaxError} naming the part at fault
 */
export function parseLocation(words: readonly string[]): Uint8Array {
  const rest = [...words];
  const latitude = takeAngle(rest, { what: "latitude", sides: "NS", degreesMax: 90 });
  const longitude = takeAngle(rest, { what: "longitude", sides: "EW", degreesMax: 180 });
  const altitude = rest.shift() ?? fail("the altitude is missing, such as 10m");
  const sizes = SIZES_DEFAULT.map((otherwise) => rest.shift() ?? otherwise);
  if (rest.length > 0) fail(`"${rest[0]}" is too much for a LOC record; remove it`);
  const altitudeCm = centimetres(altitude, "altitude") + BASE_CM;
  if (altitudeCm < 0 || altitudeCm >= 2 ** 32) fail(`the altitude "${altitude}" must be -100000–42849672 m`);
  const bytes = new Uint8Array(SIZE);
  const view = new DataView(bytes.buffer);
  sizes.forEach((size, i) => bytes[1 + i] = packedSize(size));
  view.setUint32(4, latitude);
  view.setUint32(8, longitude);
  view.setUint32(12, altitudeCm);
  return bytes;
}

/**
 * Writes a location as text that `parseLocation` reads back to the same bytes.
 *
 * @throws {SyntaxError} when the bytes are no location
 */
export function formatLocation(bytes: Uint8Array): string {
  if (bytes.length !== SIZE || bytes[0] !== 0) fail("the LOC data aren't of version 0");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const altitude = view.getUint32(12) - BASE_CM;
  const sizes = [...bytes.subarray(1, 4)].map((packed) => {
    const [digit, power] = [packed >> 4, packed & 15];
    // 0 has one spelling only, so that the same bytes come back.
    if (digit > 9 || power > 9 || (digit === 0 && power > 0)) {
      fail(`the LOC size ${packed} isn't a digit and a power`);
    }
    return metres(digit * 10 ** power);
  });
  return [
    formatAngle(view.getUint32(4), { sides: "NS", degreesMax: 90 }),
    formatAngle(view.getUint32(8), { sides: "EW", degreesMax: 180 }),
    metres(altitude),
    ...sizes,
  ].join(" ");
}

function takeAngle(
  words: string[],
  { what, sides, degreesMax }: { readonly what: string; readonly sides: string; readonly degreesMax: number },
): number {
  const example = sides === "NS" ? "52 22 23.000 N" : "4 53 32.000 E";
  const end = words.findIndex((word) => word.length === 1 && sides.includes(word.toUpperCase()));
  const parts = words.splice(0, end + 1);
  const [degrees, minutes = "0", seconds = "0"] = parts.slice(0, -1);
  if (
    end < 1 || end > 3 || !/^\d{1,3}$/.test(degrees!) || !/^\d{1,2}$/.test(minutes) ||
    !/^\d{1,2}(?:\.\d{1,3})?$/.test(seconds)
  ) fail(`the ${what} must be degrees, minutes, seconds and ${sides[0]} or ${sides[1]}, such as ${example}`);
  const thousandths = Math.round((Number(degrees) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000);
  if (Number(minutes) > 59 || Number(seconds) >= 60 || thousandths > degreesMax * 3_600_000) {
    fail(
      `the ${what} "${
        parts.join(" ")
      }" must be at most ${degreesMax} degrees, with minutes and seconds below 60`,
    );
  }
  return parts.at(-1)!.toUpperCase() === sides[0] ? MERIDIAN + thousandths : MERIDIAN - thousandths;
}

function formatAngle(
  angle: number,
  { sides, degreesMax }: { readonly sides: string; readonly degreesMax: number },
): string {
  const thousandths = Math.abs(angle - MERIDIAN);
  if (thousandths > degreesMax * 3_600_000) fail(`a LOC angle is more than ${degreesMax} degrees`);
  const minutes = Math.floor(thousandths / 60_000);
  const seconds = (thousandths % 60_000 / 1000).toFixed(3);
  return `${Math.floor(minutes / 60)} ${minutes % 60} ${seconds} ${angle >= MERIDIAN ? sides[0] : sides[1]}`;
}

function centimetres(text: string, what: string): number {
  const [, whole, fraction = ""] = METRES.exec(text) ??
    fail(`the ${what} "${text}" must be metres, such as 10m`);
  const cm = Number(whole!.replace("-", "")) * 100 + Number(fraction.padEnd(2, "0").slice(0, 2));
  return whole!.startsWith("-") ? -cm : cm;
}

function metres(cm: number): string {
  const size = Math.abs(cm);
  return `${cm < 0 ? "-" : ""}${Math.floor(size / 100)}.${String(size % 100).padStart(2, "0")}m`;
}

/** A size as its first digit and how many digits follow; what follows the first is dropped (RFC 1876 §2). */
function packedSize(text: string): number {
  const cm = centimetres(text, "size");
  if (cm < 0 || cm > 9e9) fail(`the size "${text}" must be 0–90000000 m`);
  const power = cm === 0 ? 0 : Math.floor(Math.log10(cm) + 1e-9);
  return Math.floor(cm / 10 ** power + 1e-9) << 4 | power;
}

function fail(message: string): never {
  throw new SyntaxError(message);
}
