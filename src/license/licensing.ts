/**
 * Licensing as a part of a node: judges the token of the settings, tells the workers what they may answer, and says in
 * the log, the status and the metrics how that stands. What holds in this second is the workers' business: they see an
 * expiry by themselves, however busy this thread is.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { Port, type Ports } from "../port.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Registry } from "../telemetry/metrics.ts";
import { Allowance, type Standing } from "./allowance.ts";
import { UNLICENSED_RPS } from "./gate.ts";
import { CLUSTER_NODES, type ClusterNodes, NodePart, rateOfPart } from "./share.ts";
import { isExpired, type License, rateOf, type Reading, readToken } from "./token.ts";

/** What of the settings counts. */
export interface LicenseSettings {
  /** `license` of the settings. */
  readonly license: {
    /** Any of them may have signed the token; none = licensing is off. */
    readonly secret: readonly string[];
    /** The token; `null` = there is none. */
    readonly key: string | null;
    /** Why the token couldn't be had; `null` = it could, or there is none. */
    readonly keyFault: string | null;
    /** Whether the rate holds for each node, or for all nodes of the cluster together. */
    readonly scope: "node" | "cluster";
  };
  /** `node` of the settings. */
  readonly node: {
    /** Its id. */
    readonly id: string;
  };
  /** `state` of the settings. */
  readonly state: {
    /** How many nodes the cluster has; `null` = as many as were ever seen. */
    readonly nodes: number | null;
  };
}

/** What licensing is made with. */
export interface LicensingNeeds {
  /** Those of the start. */
  readonly settings: () => LicenseSettings;
  /** Hears what there is to know of the license, and once a day what there is to do. */
  readonly log: Logger;
  /** Gets the metrics. */
  readonly registry: Registry;
  /** Says whether the license has expired, and when a day is over. */
  readonly clock: Clock;
  /** Where it is offered. */
  readonly ports: Ports;
}

/** How the license stands. */
export interface LicenseStatus {
  /** `off` = there is no secret, and whatever is asked is answered. */
  readonly state: Standing | "off";
  /** Why it isn't `valid`; `null` = it is, or licensing is off. */
  readonly reason: string | null;
  /** What a token says, also one that has expired; `null` = none can be read. */
  readonly license: License | null;
  /** Answers a second that are allowed now; `null` = licensing is off. */
  readonly limit: number | null;
  /** Answers in the busiest second of the last minute. */
  readonly busiest: number;
  /** What there is to do, in words. */
  readonly warnings: readonly string[];
}

/** Where it is offered, whether it is on or off. */
export const LICENSING: Port<Pick<Licensing, "allowance" | "status">> = new Port("licensing");

/** How often the use is looked at: each window once. */
export const LOOK_MS = 1_000;
/** Seconds of which the busiest is told. */
const BUSY_SECONDS = 60;
/** Share of the rate from which on its use is worth a warning. */
const BUSY_SHARE = 0.8;
/** How long before its end a license is worth a warning, seconds: two weeks, in which another one can be bought. */
const ENDING_SECONDS = 14 * 86_400;
/** How often a warning is repeated in the log. */
const REPEAT_MS = 86_400_000;

/** What settings come to. */
interface Judged {
  /** Whether there is a secret. */
  readonly isOn: boolean;
  /** The token that is gone by; `null` = there is none. */
  readonly token: string | null;
  /** What it is worth. */
  readonly reading: Reading;
  /** Why it is the token of before; `null` = it isn't. */
  readonly keyFault: string | null;
}

/** Something to do. */
interface Warning {
  /** Tells warnings apart, so that each is repeated by itself. */
  readonly kind: "token" | "unreadable" | "ending" | "busy";
  readonly text: string;
}

/** Licensing as a node sees it. */
export interface LicensingPart extends AsyncDisposable {
  /** For people: which part isn't ready for a reload. */
  readonly name: string;
  /** Judges the token of other settings, and gives what takes them over. */
  prepare(next: LicenseSettings): () => void;
}

/** Starts it, and offers it; also where it is off, since a reload may switch it on. */
export function startLicensing(needs: LicensingNeeds): LicensingPart {
  const licensing = new Licensing({ ...needs, nodes: () => needs.ports.find(CLUSTER_NODES) });
  const offered = needs.ports.offer(LICENSING, licensing);
  return {
    name: "licensing",
    prepare: (next: LicenseSettings) => licensing.prepare(next),
    [Symbol.asyncDispose]: () => {
      offered[Symbol.dispose]();
      return licensing[Symbol.asyncDispose]();
    },
  };
}

/** Licensing of one node. */
export class Licensing implements AsyncDisposable {
  /** What the workers go by. */
  readonly allowance: Allowance = Allowance.create();
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #ending = new AbortController();
  readonly #looking: Promise<void>;
  readonly #nodes: () => ClusterNodes | null;
  /** Of the rate; `null` = this node has all of it. */
  readonly #part: NodePart | null;
  #hearing: Disposable | null = null;
  #judged: Judged;
  /** The token that counted last, for when the next one can't be read. */
  #lastGood: string | null = null;
  /** Of the last looks, the youngest last. */
  #peaks: number[] = [0];
  /** When each kind of warning was logged last, on the monotonic clock. */
  readonly #warnedMs = new Map<Warning["kind"], number>();

  /** Judges the token of the start; workers that start now go by it. */
  constructor(
    { settings, log, registry, clock, nodes }: Omit<LicensingNeeds, "ports"> & {
      /** Those of the cluster; `null` = there is none, or it isn't known yet. */
      readonly nodes: () => ClusterNodes | null;
    },
  ) {
    this.#log = log;
    this.#clock = clock;
    this.#nodes = nodes;
    const { license: { scope }, node: { id }, state } = settings();
    this.#part = scope === "node" ? null : new NodePart({ node: id, configured: state.nodes, clock });
    this.#judged = this.#judge(settings());
    this.#register(registry);
    this.#use(this.#judged);
    this.#looking = this.#lookOnAndOn();
  }

  /** Judges other settings, and gives what takes them over. */
  prepare(next: LicenseSettings): () => void {
    const judged = this.#judge(next);
    return () => this.#use(judged);
  }

  /** How the license stands at this moment. */
  status(): LicenseStatus {
    const { isOn, reading: { license, reason } } = this.#judged;
    const state = this.#state();
    return {
      state,
      reason: state === "expired" ? "the token has expired" : isOn ? reason : null,
      license,
      limit: !isOn ? null : state === "valid" ? this.#rateOf(license!) : UNLICENSED_RPS,
      busiest: this.#busiest(),
      warnings: this.#warnings().map(({ text }) => text),
    };
  }

  /** Looks no more; workers go on by what they were told last. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    this.#hearing?.[Symbol.dispose]();
    await this.#looking;
  }

  #judge({ license: { secret, key, keyFault } }: LicenseSettings): Judged {
    const isOn = secret.length > 0;
    const token = key ?? (keyFault === null ? null : this.#lastGood);
    const reading: Reading = !isOn || token === null
      ? { license: null, reason: keyFault ?? "there is no token (license.key)" }
      : readToken(token, secret);
    return { isOn, token, reading, keyFault: key === null ? keyFault : null };
  }

  #use(judged: Judged): void {
    const { isOn, token, reading: { license, reason } } = judged;
    const before = this.#judged;
    const isOther = before === judged || isOn !== before.isOn || token !== before.token ||
      reason !== before.reading.reason || judged.keyFault !== before.keyFault;
    this.#judged = judged;
    if (license !== null) this.#lastGood = token;
    this.#tellWorkers();
    if (!isOther) return;
    this.#warnedMs.clear();
    const { state, limit } = this.status();
    if (state === "valid") this.#log.info("Licensed", { ...shown(license!), limit });
    else if (state === "off" && before !== judged) this.#log.info("Licensing is off: no secret is set");
    this.#warn();
  }

  #tellWorkers(): void {
    const { isOn, token, reading: { license } } = this.#judged;
    if (!isOn) this.allowance.set(null);
    else if (license === null) {
      const standing = token === null ? "missing" : "invalid";
      this.allowance.set({ limit: UNLICENSED_RPS, expiresAt: null, standing });
    } else this.allowance.set({ limit: this.#rateOf(license), expiresAt: license.exp, standing: "valid" });
  }

  #rateOf(license: License): number {
    const rate = rateOf(license);
    return this.#part === null ? rate : rateOfPart(rate, this.#part.part);
  }

  /** Takes the part that is this node's now. */
  #split(): void {
    if (this.#part === null) return;
    const nodes = this.#nodes();
    if (nodes !== null) this.#hearing ??= nodes.subscribe(() => this.#split());
    if (!this.#part.look(nodes)) return;
    this.#tellWorkers();
    const { state, limit } = this.status();
    if (state !== "valid") return;
    this.#log.info("The license is split by the cluster's nodes", { limit, nodes: this.#part.part.of });
  }

  #state(): LicenseStatus["state"] {
    const { isOn, token, reading: { license } } = this.#judged;
    if (!isOn) return "off";
    if (token === null) return "missing";
    if (license === null) return "invalid";
    return isExpired(license, this.#unixSeconds()) ? "expired" : "valid";
  }

  #warnings(): Warning[] {
    const { reading: { license, reason }, keyFault } = this.#judged;
    const state = this.#state();
    if (state === "off") return [];
    const warnings: Warning[] = [];
    const fallen = `: the node gives ${UNLICENSED_RPS} answers a second`;
    if (keyFault !== null && state !== "missing") {
      const text = `The license token can't be read, and the one before stays: ${keyFault}`;
      warnings.push({ kind: "unreadable", text });
    }
    if (state === "missing") {
      warnings.push({ kind: "token", text: `There is no license token${fallen} (${reason})` });
    } else if (state === "invalid") {
      warnings.push({ kind: "token", text: `The license token doesn't count${fallen} (${reason})` });
    } else if (state === "expired") {
      warnings.push({ kind: "token", text: `The license token expired at ${date(license!.exp)}${fallen}` });
    } else {
      if (license!.exp - this.#unixSeconds() < ENDING_SECONDS) {
        warnings.push({ kind: "ending", text: `The license token expires at ${date(license!.exp)}` });
      }
      const limit = this.#rateOf(license!);
      const busiest = this.#busiest();
      if (busiest >= limit * BUSY_SHARE) {
        const text =
          `The license is nearly used up: ${busiest} of ${limit} answers in the busiest second of a minute`;
        warnings.push({ kind: "busy", text });
      }
    }
    return warnings;
  }

  #warn(): void {
    const nowMs = this.#clock.monotonicMs();
    const fields = this.#judged.reading.license;
    for (const { kind, text } of this.#warnings()) {
      if (nowMs - (this.#warnedMs.get(kind) ?? -Infinity) < REPEAT_MS) continue;
      this.#warnedMs.set(kind, nowMs);
      this.#log.warn(text, fields ? shown(fields) : {});
    }
  }

  async #lookOnAndOn(): Promise<void> {
    const { signal } = this.#ending;
    let state = this.#state();
    while (!signal.aborted) {
      await this.#clock.sleep(LOOK_MS, signal);
      this.#split();
      this.#busiest();
      this.#peaks.push(0);
      if (this.#peaks.length > BUSY_SECONDS) this.#peaks.shift();
      const before = state;
      state = this.#state();
      // What became of the token is told at once, whatever was told of it yesterday.
      if (state !== before) this.#warnedMs.delete("token");
      this.#warn();
    }
  }

  /** Of the seconds until now; also the one that is under way. */
  #busiest(): number {
    this.#peaks.push(Math.max(this.#peaks.pop()!, this.allowance.takePeak()));
    return Math.max(...this.#peaks);
  }

  #unixSeconds(): number {
    return Math.floor(this.#clock.unixMs() / 1000);
  }

  #register(registry: Registry): void {
    const whenOn = (value: () => number | null) => (): Iterable<[[], number]> => {
      const now = this.#judged.isOn ? value() : null;
      return now === null ? [] : [[[], now]];
    };
    registry.gauge(
      "pleiades_license_valid",
      "1 while the license token counts, 0 while it doesn't; none without licensing.",
      {
        collect: whenOn(() => this.#state() === "valid" ? 1 : 0),
      },
    );
    registry.gauge("pleiades_license_limit", "Answers a second that are allowed; none without licensing.", {
      collect: whenOn(() => this.status().limit),
    });
    registry.gauge(
      "pleiades_license_busiest",
      "Answers in the busiest second of the last minute that counted against the license.",
      {
        collect: whenOn(() => this.status().busiest),
      },
    );
    registry.gauge("pleiades_license_expires_timestamp_seconds", "When the license token expires.", {
      collect: whenOn(() => this.#judged.reading.license?.exp ?? null),
    });
  }
}

/** What may be shown of a license. */
function shown({ tier, id, exp }: License) {
  return { tier, id, expires: date(exp) };
}

function date(unixSeconds: number): string {
  return new Date(unixSeconds * 1000).toISOString().replace(".000Z", "Z");
}
