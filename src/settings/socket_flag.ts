/**
 * Flags that name an address to listen on.
 *
 * @module
 */
import { parseSocketAddress, type SocketAddress } from "../ip.ts";
import type { Loading } from "./loading.ts";

/**
 * Reads `ADDR:PORT`, or `ADDR` with the port of the settings.
 *
 * @returns `null` = it isn't one, and that is reported
 */
export function socketFlag(
  text: string,
  { flag, port, loading }: {
    readonly flag: string;
    readonly port: number;
    readonly loading: Loading;
  },
): SocketAddress | null {
  try {
    return parseSocketAddress(text, port);
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    loading.report([{ file: flag, line: 0, column: 0, message: cause.message }]);
    return null;
  }
}
