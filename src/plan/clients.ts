/**
 * Classes of clients, for which answers are compared where they depend on the client.
 *
 * @module
 */

/** Clients of a label that one of them stands for. */
export interface ClientClass {
  /** For people: `everyone`, a country, a prefix, `others`. Several may have the same. */
  readonly label: string;
  /** How many clients that is, above 0; only ratios count. */
  readonly weight: number;
  /** Of the one: 4 or 16 bytes. */
  readonly address: Uint8Array;
}

/** All clients as one; its address is nowhere (RFC 5737). */
export const EVERYONE: readonly ClientClass[] = [
  { label: "everyone", weight: 1, address: new Uint8Array([192, 0, 2, 0]) },
];
