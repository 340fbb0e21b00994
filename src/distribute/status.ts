/**
 * `pleiades distribute status`: what each secondary holds of each zone, beside the primary.
 *
 * @module
 */
import type { ExitCode } from "../cli/failure.ts";
import { type OutputFormat, printRows, textColumn } from "../cli/table.ts";
import type { Terminal } from "../cli/terminal.ts";
import { CommandFailed } from "../cli/failure.ts";
import { type Clock, rfc3339, systemClock, systemRng } from "../clock.ts";
import { formatDuration } from "../input/duration.ts";
import { valuesOf } from "../consul/services.ts";
import { createLogger } from "../telemetry/log.ts";
import { Broker } from "./broker.ts";
import { orderFor, type PrimaryZone } from "./compare.ts";
import { primaryZones } from "./health_checker.ts";
import {
  encodeStateRequest,
  HELLO_PREFIX,
  readHello,
  readStateReply,
  serviceId,
  type Signature,
  type StateReply,
  type ZoneState,
} from "./messages.ts";
import { settingsFor } from "./run.ts";
import {
  consulTermsOf,
  type DistributeSettings,
  dnsOf,
  linkTermsOf,
  powerDnsOf,
  secondariesOf,
  subjectsOf,
} from "./service.ts";
import { withDns } from "./zone_reading.ts";

/** Longest wait for NATS, and again for a secondary, milliseconds. */
const WAIT_MS = 10_000;
/** How long is listened for secondaries that aren't in a list: they say that they are there twice a minute. */
const LISTEN_MS = 31_000;

/** Prints the table; 1 when a secondary isn't in step, or doesn't answer. */
export async function status(
  flags: { readonly config?: string; readonly output: OutputFormat },
  terminal: Terminal,
): Promise<ExitCode> {
  const settings = settingsFor("status", flags, terminal);
  if (settings === null) return 1;
  const rows = await statusRows(settings.distribute, systemClock);
  const columns = ["zone", "secondary", "state", "serial", "primary", "age", "signedUntil"].map(textColumn);
  await printRows(rows.map((row) => ({ ...row })), { columns, output: flags.output, fits: true }, terminal);
  return rows.every(({ state }) => state === "ok") ? 0 : 1;
}

/** A zone on a secondary. */
export interface StatusRow {
  /** With its final dot. */
  readonly zone: string;
  /** Host name. */
  readonly secondary: string;
  /** `ok`, or what is wrong. */
  readonly state: string;
  /** There; `null` = none. */
  readonly serial: number | null;
  /** On the primary; `null` = it has no such zone. */
  readonly primary: number | null;
  /** Since the secondary had it from the primary, or found it unchanged there, such as `5m30s`; `null` = never. */
  readonly age: string | null;
  /** When the earliest signature of its SOA record ends; `null` = unsigned. */
  readonly signedUntil: string | null;
}

/** Asks both sides. @throws {CommandFailed} when one of them can't be asked */
export async function statusRows(settings: DistributeSettings, clock: Clock): Promise<StatusRow[]> {
  const primary = await signedZones(settings).catch((error) => {
    throw new CommandFailed(error instanceof Error ? error.message : String(error));
  });
  const found = new Set(settings.secondaries.hosts);
  const log = createLogger({ level: "error", format: "text", clock, write: () => {} });
  const connected = Promise.withResolvers<void>();
  const hello = {
    subject: `${HELLO_PREFIX}*`,
    hear: ({ data }: { readonly data: Uint8Array }) => {
      const said = readHello(data);
      if ("fault" in said || said.service !== "secondary-syncer") return;
      if (settings.secondaries.source === "nats") found.add(said.host);
    },
  };
  const terms = linkTermsOf("status", { settings, host: settings.service.host ?? Deno.hostname() });
  await using broker = new Broker({ terms, clock, rng: systemRng, log }, [hello], () => connected.resolve());
  const ending = new AbortController();
  await Promise.race([connected.promise, clock.sleep(WAIT_MS, ending.signal)]);
  if (!broker.isConnected) throw new CommandFailed(broker.fault ?? "NATS doesn't answer");
  if (settings.secondaries.source === "nats") await clock.sleep(LISTEN_MS, ending.signal);
  const consul = consulTermsOf(settings);
  if (settings.secondaries.source === "consul" && consul !== null) {
    const hosts = await valuesOf(consul, secondariesOf(settings), AbortSignal.timeout(WAIT_MS))
      .catch((error) => {
        throw new CommandFailed(`Consul doesn't say which secondaries there are: ${error.message}`);
      });
    for (const host of hosts) found.add(host);
  }
  const rows = await Promise.all(
    [...found].sort().map(async (host) => {
      const states = await askState(broker, host, { settings, clock, signal: ending.signal });
      return rowsOf(host, { primary, states, settings, nowMs: clock.unixMs() });
    }),
  );
  ending.abort();
  return rows.flat();
}

async function signedZones(settings: DistributeSettings): Promise<Map<string, PrimaryZone>> {
  const zones = await primaryZones(powerDnsOf(settings));
  await withDns(dnsOf(settings), async (connection) => {
    for (const [zone, held] of zones) {
      const soa = await connection.soa(zone);
      if (soa !== null) zones.set(zone, { ...held, serial: soa.serial, signature: soa.signature });
    }
  });
  return zones;
}

async function askState(
  broker: Broker,
  host: string,
  { settings, clock, signal }: {
    readonly settings: DistributeSettings;
    readonly clock: Clock;
    readonly signal: AbortSignal;
  },
): Promise<StateReply | string> {
  let said: StateReply | string = "no answer";
  await broker.request(
    subjectsOf(settings).zoneState + serviceId(host),
    encodeStateRequest(
      { zones: null, epoch: null, withSignatures: true, withDigests: false },
      clock.unixMs(),
    ),
    {
      timeoutMs: WAIT_MS,
      isWhole: (data) => {
        const reply = readStateReply(data);
        said = "fault" in reply ? String(reply.fault) : reply;
        return true;
      },
      signal,
    },
  );
  return said;
}

function rowsOf(
  secondary: string,
  { primary, states, settings, nowMs }: {
    readonly primary: ReadonlyMap<string, PrimaryZone>;
    readonly states: StateReply | string;
    readonly settings: DistributeSettings;
    readonly nowMs: number;
  },
): StatusRow[] {
  if (typeof states === "string") {
    return [{
      zone: "",
      secondary,
      state: states,
      serial: null,
      primary: null,
      age: null,
      signedUntil: null,
    }];
  }
  const remainingMs = settings.healthChecks.signatureRemaining;
  const zones = [...new Set([...primary.keys(), ...states.keys()])].sort();
  return zones.filter((zone) => primary.has(zone) || states.get(zone)?.isForeign !== true).map((zone) => {
    const held = primary.get(zone);
    const state = states.get(zone);
    const order = held === undefined ? "extra" : orderFor(zone, { held, state, nowMs, remainingMs })?.reason;
    return {
      ...{ zone, secondary },
      state: state?.isForeign ? "foreign" : order ?? "ok",
      serial: state?.serial ?? null,
      primary: held?.serial ?? null,
      age: ageOf(state, nowMs),
      signedUntil: untilOf(state),
    };
  });
}

/** Whole seconds: PowerDNS notes no more. */
function ageOf(state: ZoneState | undefined, nowMs: number): string | null {
  const { checkedSeconds } = state ?? {};
  if (checkedSeconds === undefined) return null;
  return formatDuration(Math.max(1, Math.floor(nowMs / 1000) - checkedSeconds) * 1000);
}

function untilOf(state: ZoneState | undefined): string | null {
  const signature: Signature | null = state?.signature ?? null;
  return signature === null ? null : rfc3339(signature.untilSeconds * 1000);
}
