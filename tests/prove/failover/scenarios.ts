/**
 * What befalls backends in `prove failover`: one row of the table each.
 *
 * @module
 */
import type { Backend, Certificates } from "./backends.ts";
import type { SiteNetworks } from "./site_networks.ts";

/** What a scenario has at hand. */
export interface Stage {
  /** Site by site. */
  readonly backends: readonly Backend[];
  readonly certificates: Certificates;
  /** Of the sites; `null` = all backends stand on loopback addresses. */
  readonly networks: SiteNetworks | null;
}

/** A fault, and how it is mended. */
export interface Scenario {
  readonly name: string;
  /** For the table. */
  readonly what: string;
  /**
   * Whom the prober is sent to: `rule` = algorithm geoip with a geo rule that names the first backend, one address an
   * answer · `tiers` = algorithm failover, a tier per site, the whole tier in each answer.
   */
  readonly steering: "rule" | "tiers";
  readonly check: "http" | "https";
  /** The first so many backends fall. */
  readonly faulty: number;
  /** Which line of `budget` speaks of it. */
  readonly kind: "refusing" | "hanging";
  /** Whether more than half fall, so that the flip guard holds them first. */
  readonly isMass: boolean;
  /** What the node says is wrong. */
  readonly says: RegExp;
  strike(stage: Stage): Promise<void>;
  mend(stage: Stage): Promise<void>;
}

const first = ({ backends }: Stage) => backends[0]!;
const each = async (stage: Stage, count: number, deed: (backend: Backend) => Promise<void>) => {
  await Promise.all(stage.backends.slice(0, count).map(deed));
};
const one = { steering: "rule", check: "http", faulty: 1, isMass: false } as const;

/** Every one but flapping. */
export const SCENARIOS: readonly Scenario[] = [
  {
    ...one,
    name: "kill",
    what: "SIGKILL",
    kind: "refusing",
    says: /^connection refused$/,
    strike: (stage) => first(stage).kill(),
    mend: (stage) => first(stage).start(),
  },
  {
    ...one,
    name: "hang",
    what: "SIGSTOP",
    kind: "hanging",
    says: /^timeout after/,
    strike: async (stage) => await first(stage).freeze(),
    mend: async (stage) => await first(stage).thaw(),
  },
  {
    ...one,
    name: "slow",
    what: "answers after 2 s",
    kind: "hanging",
    says: /^timeout after/,
    strike: (stage) => first(stage).behave({ delayMs: 2_000 }),
    mend: (stage) => first(stage).behave({ delayMs: 0 }),
  },
  {
    ...one,
    name: "certificate",
    what: "HTTPS restarts with an expired certificate",
    check: "https",
    kind: "refusing",
    says: /^certificate expired$/,
    strike: (stage) => first(stage).behave({ identity: stage.certificates.expired }),
    mend: (stage) => first(stage).behave({ identity: stage.certificates.good }),
  },
  {
    ...one,
    name: "blackhole",
    what: "a site's network swallows every packet (3 of 9)",
    steering: "tiers",
    faulty: 3,
    kind: "hanging",
    says: /^timeout after/,
    strike: ({ networks }) => networks!.cut(0),
    mend: ({ networks }) => networks!.mend(0),
  },
  {
    ...one,
    name: "site",
    what: "SIGKILL to a whole site (3 of 9)",
    steering: "tiers",
    faulty: 3,
    kind: "refusing",
    says: /^connection refused$/,
    strike: (stage) => each(stage, 3, (backend) => backend.kill()),
    mend: (stage) => each(stage, 3, (backend) => backend.start()),
  },
  {
    ...one,
    name: "mass",
    what: "SIGKILL to 7 of 9: the flip guard holds, then gives in",
    steering: "tiers",
    faulty: 7,
    isMass: true,
    kind: "refusing",
    says: /^connection refused$/,
    strike: (stage) => each(stage, 7, (backend) => backend.kill()),
    mend: (stage) => each(stage, 7, (backend) => backend.start()),
  },
];
