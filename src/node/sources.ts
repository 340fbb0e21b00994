/**
 * What answers follow from besides the model: who is alive, where clients and members are, which addresses names have and
 * what operators force at this moment. Each tells whoever listens; none knows what is made of it.
 *
 * @module
 */
import { OverrideClock, registerOverrideMetrics } from "../change/override_clock.ts";
import type { AddressesOf } from "../desired/flattened.ts";
import { DISCOVERY } from "../discovery/port.ts";
import { runQuery } from "../dns_client.ts";
import { UDP_SIZE_MAX } from "../dns/engine.ts";
import { Failovers } from "../explain/failovers.ts";
import { GeoFiles } from "../geo/geo_files.ts";
import { type GuardTerms, NodeHealth } from "../health/node_health.ts";
import { createProbe } from "../health/probe.ts";
import type { AskResolver } from "../resolver/lookup.ts";
import { MemberResolver } from "../resolver/member_resolver.ts";
import { systemResolvers } from "../resolver/system_resolvers.ts";
import type { Settings } from "../settings/settings.ts";
import { VERSION } from "../version.ts";
import { CLASS } from "../wire/record_type.ts";
import type { Ground } from "./ground.ts";
import { healthMemory, namesMemory } from "./observations.ts";

/**
 * Fires when the first rounds of probes and names aren't waited for any longer: at once where another process's place is
 * taken, which has left what it knew, and writes nothing until this one answers.
 */
export function startPatience({ settings, predecessor }: Ground): AbortSignal {
  return predecessor === null ? AbortSignal.timeout(settings().health.startTimeout) : AbortSignal.abort();
}

/** What answers follow from besides the model. */
export interface Sources {
  /** The addresses of members by name. */
  readonly names: MemberResolver;
  /** What members by name, and what pools discover, are made of. */
  readonly addressesOf: AddressesOf;
  /** Who may be answered. */
  readonly health: NodeHealth;
  /** Where clients and members are. */
  readonly geo: GeoFiles;
  /** What time does to overrides. */
  readonly overrides: OverrideClock;
  /** What past failovers took. */
  readonly failovers: Failovers;
}

/**
 * Opens them with what the last run knew; resolves when geo data is read and names were looked up once, or the start's
 * patience is over. `lifetime` closes them.
 */
export async function openSources(
  ground: Ground,
  { caCerts }: { readonly caCerts: readonly string[] },
  lifetime: AsyncDisposableStack,
): Promise<Sources> {
  const { settings, store, changes, clock, rng, log, registry, ports } = ground;
  const start = settings();
  const names = lifetime.use(
    new MemberResolver({
      terms: start.names,
      systemResolvers,
      ask: askResolver,
      memory: namesMemory(store, log),
      ...{ clock, rng, log, registry },
    }),
  );
  const addressesOf: AddressesOf = Object.assign((target: string) => names.addressesOf(target), {
    instancesOf: (address: string) => ports.find(DISCOVERY)?.membersAt(address) ?? [],
  });
  const health = lifetime.use(
    new NodeHealth({
      probe: createProbe({ version: VERSION, clock, caCerts }),
      guard: guardTermsOf(start),
      addressesOf,
      memory: healthMemory(store, log),
      ...{ clock, rng, log, registry },
    }),
  );
  const failovers = new Failovers(clock);
  lifetime.use(health.onVerdicts((verdicts) => failovers.note(verdicts)));
  const geo = lifetime.use(new GeoFiles({ settings: start, clock, log, registry }));
  await geo.reload();
  // Before the first snapshot: an override that begins in between is met here, and written by it.
  const overrides = new OverrideClock({ store, changes, clock, log });
  registerOverrideMetrics(registry, {
    overrides: () => store.overrides.index().overrides,
    unixMs: clock.unixMs,
  });
  names.follow(store.resolvedNames.targets());
  await names.firstRound(startPatience(ground));
  return { names, addressesOf, health, geo, overrides, failovers };
}

/** How the node guards itself against wrong verdicts, of its settings. */
export function guardTermsOf({ health: { flipGuard, canaries } }: Settings): GuardTerms {
  const { share, atLeast, hold: holdMs } = flipGuard;
  const { targets, interval: intervalMs, timeout: timeoutMs, hold: blindHoldMs } = canaries;
  return {
    flipGuard: { share, atLeast, holdMs },
    canaries: { targets, intervalMs, timeoutMs, holdMs: blindHoldMs },
  };
}

/** Asks a resolver over UDP, and over TCP where the answer is too large for it. */
const askResolver: AskResolver = async ({ server, name, type, timeoutMs, signal }) => {
  const { message } = await runQuery({
    server,
    name,
    type,
    class: CLASS.IN,
    ecs: null,
    tcp: false,
    udpSize: UDP_SIZE_MAX,
    timeoutMs,
    signal,
  });
  return message;
};
