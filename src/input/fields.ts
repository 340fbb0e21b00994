/**
 * The kinds of value an operator writes: addresses, domains, ports, counts. Each schema canonicalises what it
 * accepts, so that inside the program equal things are equal strings, and its message names the field, the
 * value and the fix.
 *
 * Checks are plain `check` functions, never transforms: so input and output have one type, and one schema
 * yields the same JSON Schema for requests and for responses.
 *
 * @module
 */
import { z } from "zod";
import {
  canonicalIp,
  formatPrefix,
  formatSocketAddress,
  parseIp,
  parsePrefix,
  parseSocketAddress,
} from "../ip.ts";
import { checkDomain } from "../wire/name.ts";
import { DURATION, formatDuration, parseDuration } from "./duration.ts";
import { parseHost } from "./host.ts";
import { kindOf, show } from "./strict_object.ts";

/** A whole number between two bounds, both included. */
export function integer(name: string, min: number, max: number, unit = ""): z.ZodInt {
  const range = `${min}–${max}${unit && ` ${unit}`}`;
  const error = mustBe(name, range);
  return z.int({ error }).min(min, { error }).max(max, { error });
}

/** A number between two bounds, both included. */
export function decimal(name: string, min: number, max: number): z.ZodNumber {
  const error = mustBe(name, `a number from ${min} to ${max}`);
  return z.number({ error }).min(min, { error }).max(max, { error });
}

/** Where something is, in degrees: both keys or none, which {@linkcode checkCoordinates} sees to. */
export function coordinates(): { latitude: Coordinate; longitude: Coordinate } {
  return {
    latitude: decimal("latitude", -90, 90).nullable().default(null).meta({
      description: "Degrees north; set with longitude or not at all",
      examples: [50.1],
    }),
    longitude: decimal("longitude", -180, 180).nullable().default(null).meta({
      description: "Degrees east; set with latitude or not at all",
      examples: [8.7],
    }),
  };
}

/** Degrees, or `null`. */
export type Coordinate = z.ZodDefault<z.ZodNullable<z.ZodNumber>>;

/** Refuses one coordinate without the other. */
export function checkCoordinates(
  payload: z.core.ParsePayload<{ latitude: number | null; longitude: number | null }>,
): void {
  const { latitude, longitude } = payload.value;
  if ((latitude === null) === (longitude === null)) return;
  const missing = latitude === null ? "latitude" : "longitude";
  refuse(payload, `${missing} is required because the other coordinate is set (give both or none)`, [
    missing,
  ]);
}

/** `true` or `false`. */
export function flag(name: string): z.ZodBoolean {
  return z.boolean({ error: mustBe(name, "true or false") });
}

/**
 * One of a few words.
 *
 * @param remark follows the words in the message
 * @param elsewhere words that other systems have here, and what to use in their place
 */
export function choice<const Words extends readonly [string, ...string[]]>(
  name: string,
  words: Words,
  { remark = "", elsewhere }: {
    readonly remark?: string;
    readonly elsewhere?: ReadonlyMap<unknown, string>;
  } = {},
): z.ZodEnum<z.core.util.ToEnum<Words[number]>> {
  const error = mustBe(name, `one of ${words.join(", ")}${remark && ` (${remark})`}`);
  return z.enum(words, {
    error: (issue) => {
      const instead = elsewhere?.get(issue.input);
      return instead === undefined
        ? error(issue)
        : `${name} ${issue.input} isn't in this version; ${instead}`;
    },
  });
}

/** A list; the elements say what is wrong with themselves. */
export function list<Element extends z.core.SomeType>(name: string, element: Element): z.ZodArray<Element> {
  return z.array(element, {
    error: ({ input }) =>
      input === undefined ? `${name} is required (a list)` : `${name} must be a list, is ${kindOf(input)}`,
  });
}

/** Text that a function turns into its canonical form, or refuses by returning `null`. */
export function canonicalText(
  name: string,
  { rule, lengthMax, canonical }: {
    /** Completes "NAME must be …". */
    rule: string;
    lengthMax: number;
    canonical: (text: string) => string | null;
  },
): z.ZodString {
  const error = mustBe(name, rule);
  return z.string({ error }).min(1, { error }).max(lengthMax, { error }).check((payload) => {
    if (payload.issues.length > 0) return;
    const result = canonical(payload.value);
    if (result !== null) payload.value = result;
    else refuse(payload, error({ input: payload.value }));
  });
}

/** An IPv4 or IPv6 address; stored in canonical form (RFC 5952). */
export function ipAddress(name: string): z.ZodString {
  return canonicalText(name, {
    rule: "an IPv4 or IPv6 address such as 192.0.2.10 or 2001:db8::10",
    lengthMax: 45,
    canonical: canonicalIp,
  }).meta({ anyOf: [{ format: "ipv4" }, { format: "ipv6" }] });
}

/** A host name in any case, with or without final dot; stored lower-case and without it. */
export function hostName(name: string): z.ZodString {
  return canonicalText(name, {
    rule: "a host name such as lb.example.net (an address goes under ipAddress)",
    lengthMax: 254,
    canonical: canonicalHostName,
  });
}

/** An address or a host name, whichever a member goes by; stored in canonical form. */
export function addressOrHostName(name: string): z.ZodString {
  return canonicalText(name, {
    rule: "an address such as 192.0.2.10 or a host name such as lb.example.net",
    lengthMax: 254,
    canonical: (text) => canonicalIp(text) ?? canonicalHostName(text),
  });
}

function canonicalHostName(text: string): string | null {
  const name = text.toLowerCase().replace(/\.$/, "");
  const host = parseHost(name);
  return host === null || host.port !== null || parseIp(host.name) !== null ? null : name;
}

/** An address with a port, which may be left out where there is a default. */
export function socketAddress(name: string, defaultPort?: number): z.ZodString {
  return canonicalText(name, {
    rule: defaultPort === undefined
      ? "an address with a port such as 192.0.2.1:443 or [2001:db8::1]:443"
      : "an address with or without port such as 192.0.2.53 or [2001:db8::53]:53",
    lengthMax: 64,
    canonical: (text) => canonicalSocketAddress(text, defaultPort),
  });
}

function canonicalSocketAddress(text: string, defaultPort?: number): string | null {
  try {
    const address = parseSocketAddress(text, defaultPort);
    return address.port === 0 ? null : formatSocketAddress(address);
  } catch (cause) {
    if (cause instanceof SyntaxError) return null;
    throw cause;
  }
}

/** A site's name; empty = none. */
export function regionName(name: string): z.ZodString {
  const error = mustBe(name, "1–63 letters, digits, hyphens and underscores, or empty");
  return z.string({ error }).regex(/^[A-Za-z0-9_-]{0,63}$/, { error });
}

/** `ADDRESS/LENGTH`, without set bits behind the length. */
export function cidr(name: string): z.ZodString {
  const error = mustBe(name, "a prefix such as 198.51.100.0/24 or 2001:db8::/32");
  return z.string({ error }).min(1, { error }).max(49, { error }).check((payload) => {
    if (payload.issues.length > 0) return;
    try {
      payload.value = formatPrefix(parsePrefix(payload.value));
    } catch (cause) {
      if (!(cause instanceof SyntaxError)) throw cause;
      refuse(payload, `${name}: ${cause.message}`);
    }
  });
}

/** A domain name in ASCII, any case, with or without final dot; stored lower-case and without it. */
export function domain(name: string, { wildcard }: { readonly wildcard: boolean }): z.ZodString {
  const error = mustBe(name, "a domain such as www.example.com");
  return z.string({ error }).min(1, { error }).max(255, { error }).check((payload) => {
    if (payload.issues.length > 0) return;
    try {
      payload.value = checkDomain(payload.value);
      if (wildcard || !payload.value.startsWith("*.")) return;
      refuse(payload, `${name} must not be a wildcard, is ${show(payload.value)}`);
    } catch (cause) {
      if (!(cause instanceof SyntaxError)) throw cause;
      refuse(payload, `${name}: ${cause.message}`);
    }
  });
}

/** `NAME must be RULE, is VALUE`, or `NAME is required (RULE)` when there is no value. */
export function mustBe(name: string, rule: string): (issue: { readonly input?: unknown }) => string {
  return ({ input }) =>
    input === undefined ? `${name} is required (${rule})` : `${name} must be ${rule}, is ${show(input)}`;
}

/** Reports a problem with the value itself, or with the part of it that `path` leads to. */
export function refuse(
  payload: z.core.ParsePayload,
  message: string,
  path: readonly PropertyKey[] = [],
): void {
  payload.issues.push({ code: "custom", input: payload.value, message, path: [...path] });
}

/**
 * A check of how some fields of an object go together: made also where other fields are wrong, so that an author sees
 * everything at once, but not where one of these is. An issue that aborts (`abort: true`) anywhere below would keep
 * it from being made, so no field has one.
 */
export function together<Value extends object>(
  fields: readonly (keyof Value & string)[],
  check: (payload: z.core.ParsePayload<Value>) => void,
): z.core.$ZodCheck<Value> {
  const names: ReadonlySet<PropertyKey> = new Set(fields);
  const made: z.core.$ZodCheck<Value> = new z.core.$ZodCheck({
    check: "custom",
    when: ({ issues }) =>
      issues.every(({ code, path: [field] = [] }) =>
        code === "unrecognized_keys" || (field !== undefined && !names.has(field))
      ),
  });
  made._zod.check = check;
  return made;
}

/** A duration such as `250ms`, `10s`, `5m` or `1h`; becomes milliseconds. */
export function duration(name: string, { minMs, maxMs }: DurationRange): z.ZodType<number> {
  const rule = `a duration from ${formatDuration(minMs)} to ${
    formatDuration(maxMs)
  } such as 250ms, 10s, 5m or 1h`;
  const error = mustBe(name, rule);
  return z.string({ error }).regex(DURATION, { error }).transform((text, context) => {
    const ms = parseDuration(text)!;
    if (ms < minMs || ms > maxMs) {
      context.addIssue({ code: "custom", input: text, message: error({ input: text }) });
    }
    return ms;
  });
}

/** The shortest and the longest duration that make sense. */
export interface DurationRange {
  /** Milliseconds. */
  readonly minMs: number;
  /** Milliseconds. */
  readonly maxMs: number;
}

/** One value, or a list of them; becomes a list. */
export function oneOrMore<Element extends z.core.SomeType>(
  name: string,
  element: Element,
): z.ZodType<z.output<Element>[]> {
  return z.preprocess((value) => typeof value === "string" ? [value] : value, list(name, element));
}

/** Address of a service that is discovered, in lower case. */
export function serviceAddress(name: string): z.ZodString {
  return canonicalText(name, {
    rule: "an address such as http.web.prod.shop.gg (service.job.env.product.zone)",
    lengthMax: 255,
    canonical: (text) => /^(?:[0-9A-Za-z-]{1,63}\.){4}[0-9A-Za-z]{2}$/.test(text) ? text.toLowerCase() : null,
  });
}

/** Path and query of a request. */
export function httpPath(name: string): z.ZodString {
  return canonicalText(name, {
    rule: `a path that begins with "/", without spaces`,
    lengthMax: 2048,
    // Visible ASCII only: a line break here would let a path write headers of its own.
    canonical: (text) => /^\/[\x21-\x7e]*$/.test(text) ? text : null,
  });
}

/** A host with or without port, as in the Host header; one that TLS can ask for. */
export function httpHost(name: string): z.ZodString {
  return canonicalText(name, {
    rule: "a host name such as www.example.com",
    lengthMax: 253,
    canonical: (text) => parseHost(text) === null ? null : text,
  });
}

/** Text that a body must contain. */
export function httpContains(
  name: string,
  { minLength = 1 }: { readonly minLength?: 0 | 1 } = {},
): z.ZodString {
  const error = mustBe(name, `a text of ${minLength}–1024 characters`);
  return z.string({ error }).min(minLength, { error }).max(1024, { error });
}

/** A set of status codes; stored without spaces. */
export function httpExpectedStatus(name: string): z.ZodString {
  return canonicalText(name, {
    rule: `a quoted set of codes such as "200", "200,204" or "200-399"`,
    lengthMax: 256,
    canonical: canonicalStatusSet,
  });
}

/** Codes 100–599 and rising ranges, separated by commas; spaces are dropped. */
function canonicalStatusSet(text: string): string | null {
  const parts = text.replaceAll(" ", "").split(",");
  const fine = parts.every((part) => {
    const match = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(part);
    return match !== null && (match[2] === undefined || match[1]! <= match[2]);
  });
  return fine ? parts.join(",") : null;
}
