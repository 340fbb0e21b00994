/**
 * The grammar of names in a dns zone: addresses of services, and names of name servers.
 *
 * ```text
 * http.web.prod.shop.gg.srv.example.org       a service: service.job.env.product.zone
 * srv.example.org, gg.srv.example.org         all name servers; those of a zone
 * ns0.srv.example.org, ns0.gg.srv.example.org one of them
 * ```
 *
 * DNS has no case (RFC 4343), so an address has none either: it is kept in lower case.
 *
 * @module
 */

/** The address of a service, in lower case. */
export interface Address {
  /** Which of a job's ports, such as `http`. */
  readonly service: string;
  /** Which part of the product. */
  readonly job: string;
  /** Which environment, such as `prod`. */
  readonly env: string;
  /** What all of it is for; the name of a service in Consul. */
  readonly product: string;
  /** Two letters or digits: where it runs; a datacenter in Consul. */
  readonly zone: string;
}

/** What a name in a dns zone stands for. */
export type Subject =
  | { readonly kind: "service"; readonly address: Address }
  /** Name servers: of one zone, or of the whole dns zone; all of them, or the one of a number. */
  | { readonly kind: "servers"; readonly zone: string | null; readonly number: number | null }
  | { readonly kind: "none"; readonly fault: string };

/** The fields of an address, in its order. */
export const ADDRESS_FIELDS = ["service", "job", "env", "product", "zone"] as const;

const FIELD = /^[0-9a-z-]{1,63}$/;
const ZONE = /^[0-9a-z]{2}$/;
/** No leading zeros: a server has one name. */
const SERVER = /^ns(0|[1-9][0-9]{0,3})$/;

/**
 * Reads an address in any case, without the dns zone.
 *
 * @throws {SyntaxError} naming the field and what would be right
 */
export function parseAddress(text: string): Address {
  const subject = subjectOf(text.toLowerCase().split("."));
  if (subject.kind === "service") return subject.address;
  const fault = subject.kind === "none" ? subject.fault : countFault(text.split(".").length);
  throw new SyntaxError(`Cannot read the address ${JSON.stringify(text)}: ${fault}`);
}

/** The one spelling of an address, by which it is compared. */
export function formatAddress(address: Address): string {
  let text = texts.get(address);
  if (text === undefined) {
    const { service, job, env, product, zone } = address;
    texts.set(address, text = `${service}.${job}.${env}.${product}.${zone}`);
  }
  return text;
}

/** Of each address that was asked for: to put a text together takes longer than to find it. */
const texts = new WeakMap<Address, string>();

/** What is wrong with one field of an address, given in lower case; `null` = nothing. */
export function fieldFault(field: (typeof ADDRESS_FIELDS)[number], value: string): string | null {
  if (field === "zone") {
    return ZONE.test(value) ? null : `zone must be two letters or digits, is ${JSON.stringify(value)}`;
  }
  return FIELD.test(value)
    ? null
    : `${field} must be 1–63 letters, digits and hyphens, is ${JSON.stringify(value)}`;
}

/** What the labels before a dns zone stand for. @param labels in lower case, the first one first */
export function subjectOf(labels: readonly string[]): Subject {
  const [first = "", second = ""] = labels;
  if (labels.length === 0) return { kind: "servers", zone: null, number: null };
  const number = SERVER.exec(first)?.[1];
  if (labels.length === 1 && ZONE.test(first)) return { kind: "servers", zone: first, number: null };
  if (labels.length === 1 && number !== undefined) {
    return { kind: "servers", zone: null, number: Number(number) };
  }
  if (labels.length === 2 && number !== undefined && ZONE.test(second)) {
    return { kind: "servers", zone: second, number: Number(number) };
  }
  if (labels.length !== ADDRESS_FIELDS.length) return { kind: "none", fault: countFault(labels.length) };
  for (const [i, field] of ADDRESS_FIELDS.entries()) {
    const fault = fieldFault(field, labels[i]!);
    if (fault !== null) return { kind: "none", fault };
  }
  const [service, job, env, product, zone] = labels as [string, string, string, string, string];
  return { kind: "service", address: { service, job, env, product, zone } };
}

function countFault(count: number): string {
  return `it must have five labels, service.job.env.product.zone, and has ${count}`;
}
