/**
 * Records in a hosted zone of Route 53.
 *
 * One batch deletes exactly the set that was read and creates another; the service makes all of a batch or nothing, so
 * this, too, is a compare-and-set. A request is sent once: after one whose outcome isn't known the next round reads.
 *
 * @module
 */
import type { Clock } from "../../clock.ts";
import { canonicalIp } from "../../ip.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { AwsAnswer } from "../aws/fetch_text.ts";
import type { AwsSession } from "../aws/session.ts";
import { elementsOf, escaped, expectWhole, textAt } from "../aws/xml.ts";
import {
  NO_RECORDS,
  type RecordManager,
  type RecordSet,
  RecordsRefused,
  type RecordType,
  refuseEmpty,
  type WriteResult,
  type WriteTerms,
} from "../records.ts";

/** A hosted zone. */
export interface Route53Options {
  /** Such as `Z0123456789ABCDEF`, with or without `/hostedzone/` in front. */
  readonly hostedZoneId: string;
  /** Signs and sends. */
  readonly session: AwsSession;
  /** Time. */
  readonly clock: Clock;
  /** Told when a change isn't live after two minutes. */
  readonly log: Logger;
}

const URL_OF_SERVICE = "https://route53.amazonaws.com";
const NAMESPACE = "https://route53.amazonaws.com/doc/2013-04-01/";

/** Longest wait for INSYNC, milliseconds; then the change counts as live. */
const LIVE_MAX_MS = 120_000;

/** Between looks at a change, milliseconds: of ten requests a second an account has, this takes one half. */
const LIVE_PAUSE_MS = 2_000;

/** Records of one hosted zone. */
export class Route53Records implements RecordManager {
  readonly #options: Route53Options;
  readonly #zone: string;

  /** Sends nothing yet. */
  constructor(options: Route53Options) {
    this.#options = options;
    this.#zone = encodeURIComponent(options.hostedZoneId.replace(/^\/?hostedzone\//, ""));
  }

  /** Lists from the name and type on, and keeps what has exactly these. */
  async read(fqdn: string, type: RecordType, signal: AbortSignal): Promise<RecordSet> {
    const query = new URLSearchParams({ name: absolute(fqdn), type, maxitems: "10" });
    const answer = await this.#send(`/2013-04-01/hostedzone/${this.#zone}/rrset?${query}`, undefined, signal);
    if (answer.status !== 200) throw this.#refusal(answer);
    expectWhole(answer.body, "ListResourceRecordSetsResponse");
    const sets = elementsOf(answer.body, "ResourceRecordSet").filter((set) => nameOf(set) === absolute(fqdn));
    if (sets.some((set) => textAt(set, "Type") === "CNAME")) throw aliasAt(fqdn);
    const own = sets.filter((set) => textAt(set, "Type") === type);
    for (const set of own) {
      if (/<AliasTarget>/.test(set)) throw aliasAt(fqdn);
      if (/<SetIdentifier>/.test(set)) {
        throw new RecordsRefused(`${fqdn} ${type} has a routing policy (make it a simple record)`);
      }
    }
    if (own.length === 0) return NO_RECORDS;
    const written = own.flatMap((set) =>
      elementsOf(set, "ResourceRecord").map((each) => textAt(each, "Value")!)
    );
    return {
      values: written.map((value) => type === "TXT" ? withoutQuotes(value) : canonicalIp(value) ?? value),
      ttl: Math.max(...own.map((set) => Number(textAt(set, "TTL") ?? 0))),
      // The service compares texts: a value goes back as it came.
      version: JSON.stringify(written),
    };
  }

  /** Sends one batch; waiting ends when the service says INSYNC. */
  async write(
    fqdn: string,
    type: RecordType,
    values: readonly string[],
    { ttl, wait, expected }: WriteTerms,
    signal: AbortSignal,
  ): Promise<WriteResult> {
    refuseEmpty(fqdn, values);
    const written = values.map((value) => type === "TXT" ? withQuotes(value) : value);
    const creation = change("CREATE", { fqdn, type, ttl: Math.max(1, Math.ceil(ttl)), values: written });
    const id = await this.#change([...deletionOf(fqdn, type, expected), creation], signal);
    if (id === null) return "changed";
    if (wait) await this.#untilLive(id, signal);
    return "written";
  }

  /** Sends a batch, unless there was nothing to delete: an empty one is refused. */
  async delete(
    fqdn: string,
    type: RecordType,
    expected: RecordSet,
    signal: AbortSignal,
  ): Promise<WriteResult> {
    const changes = deletionOf(fqdn, type, expected);
    if (changes.length === 0) return "written";
    return await this.#change(changes, signal) === null ? "changed" : "written";
  }

  /** Makes sure that the zone can be read. */
  async check(fqdn: string, type: RecordType, signal: AbortSignal): Promise<void> {
    await this.read(fqdn, type, signal);
  }

  /** @returns the id of the change, `null` = what was read isn't there any more, or another change is under way */
  async #change(changes: readonly string[], signal: AbortSignal): Promise<string | null> {
    const body =
      `<?xml version="1.0" encoding="UTF-8"?>\n<ChangeResourceRecordSetsRequest xmlns="${NAMESPACE}">` +
      `<ChangeBatch><Changes>${changes.join("")}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>`;
    const answer = await this.#send(`/2013-04-01/hostedzone/${this.#zone}/rrset`, body, signal);
    if (answer.status === 200) {
      expectWhole(answer.body, "ChangeResourceRecordSetsResponse");
      return textAt(answer.body, "Id") ?? "";
    }
    if (answer.status === 400 && /<Code>PriorRequestNotComplete</.test(answer.body)) return null;
    if (answer.status === 400 && CONFLICT.test(answer.body)) return null;
    throw this.#refusal(answer);
  }

  async #untilLive(id: string, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    const endMs = clock.monotonicMs() + LIVE_MAX_MS;
    const path = `/2013-04-01/change/${encodeURIComponent(id.replace(/^\/?change\//, ""))}`;
    for (;;) {
      // A look that fails is made again: the change itself was taken.
      const answer = await this.#send(path, undefined, signal).catch(() => null);
      signal.throwIfAborted();
      if (answer?.status === 200 && textAt(answer.body, "Status") === "INSYNC") return;
      if (clock.monotonicMs() >= endMs) {
        return log.warn("Route 53 hasn't the change everywhere after two minutes");
      }
      await clock.sleep(LIVE_PAUSE_MS, signal);
      signal.throwIfAborted();
    }
  }

  async #send(path: string, body: string | undefined, signal: AbortSignal): Promise<AwsAnswer> {
    const request = { service: "route53", region: "us-east-1", url: URL_OF_SERVICE, path };
    return await this.#options.session.send({ ...request, ...(body !== undefined && { body }) }, signal);
  }

  #refusal({ status, body }: AwsAnswer): Error {
    const [code, message] = [textAt(body, "Code") ?? `status ${status}`, textAt(body, "Message") ?? ""];
    const said = `Route 53 answered ${code}${message === "" ? "" : `: ${message.slice(0, SAID_MAX)}`}`;
    switch (code) {
      case "NoSuchHostedZone":
        return new RecordsRefused(`${said} (fix agent.route53HostedZoneId)`);
      case "AccessDenied":
      case "AccessDeniedException":
        return new RecordsRefused(
          `${said} (permit route53:ListResourceRecordSets, ChangeResourceRecordSets and GetChange)`,
        );
      case "SignatureDoesNotMatch":
      case "InvalidClientTokenId":
      case "ExpiredToken":
        return new RecordsRefused(`${said} (fix the credentials of AWS, or this machine's clock)`);
      default:
        return new Error(said);
    }
  }
}

/** What the service says when a set isn't what a batch takes it for. */
const CONFLICT = /but it was not found|but it already exists|do not match the current values/;

/** Most characters of a message of the service. */
const SAID_MAX = 300;

function deletionOf(fqdn: string, type: RecordType, { values, ttl, version }: RecordSet): string[] {
  if (values.length === 0) return [];
  const written: readonly string[] = version === undefined ? values : JSON.parse(version);
  return [change("DELETE", { fqdn, type, ttl, values: written })];
}

function change(
  action: "CREATE" | "DELETE",
  { fqdn, type, ttl, values }: {
    readonly fqdn: string;
    readonly type: RecordType;
    readonly ttl: number;
    readonly values: readonly string[];
  },
): string {
  const records = values.map((value) => `<ResourceRecord><Value>${escaped(value)}</Value></ResourceRecord>`);
  return `<Change><Action>${action}</Action><ResourceRecordSet><Name>${escaped(absolute(fqdn))}</Name>` +
    `<Type>${type}</Type><TTL>${ttl}</TTL><ResourceRecords>${records.join("")}</ResourceRecords>` +
    "</ResourceRecordSet></Change>";
}

function aliasAt(fqdn: string): RecordsRefused {
  return new RecordsRefused(
    `${fqdn} is an alias, beside which no address can be (remove it, or give agent.fqdn another name)`,
  );
}

function absolute(fqdn: string): string {
  return `${fqdn.toLowerCase().replace(/\.$/, "")}.`;
}

/** The service writes `\052` for `*`. */
function nameOf(set: string): string {
  const name = textAt(set, "Name") ?? "";
  return name.toLowerCase().replaceAll(
    /\\(\d{3})/g,
    (_, octal: string) => String.fromCharCode(parseInt(octal, 8)),
  );
}

function withQuotes(value: string): string {
  return /^".*"$/.test(value) ? value : `"${value.replaceAll(/["\\]/g, "\\$&")}"`;
}

function withoutQuotes(value: string): string {
  return /^".*"$/.test(value) ? value.slice(1, -1).replaceAll(/\\(.)/g, "$1").replaceAll('" "', "") : value;
}
