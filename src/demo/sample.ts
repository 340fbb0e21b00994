/**
 * What the demo's node serves: three services over the same backends, each with a flavour of its own, and a zone of
 * static records around them.
 *
 * All pools have the same check, hence each backend is probed once a second however many pools it is in.
 *
 * @module
 */
import type { Edit, MemberFields, PoolFields } from "../change/edit.ts";
import { type CheckTarget, checkTargetOf } from "../desired/check_target.ts";
import {
  HEALTH_CHECK_DEFAULTS,
  type HealthCheck,
  MEMBER_DEFAULTS,
  POOL_DEFAULTS,
  SERVICE_DEFAULTS,
} from "../model/model.ts";
import type { SocketAddress } from "../ip.ts";

/** The zone of everything in the demo; `.test` has no owner (RFC 6761 §6.2). */
export const ZONE = "demo.test";

/** How backends are probed: fast enough to watch. */
export const CHECK: HealthCheck = {
  ...HEALTH_CHECK_DEFAULTS,
  type: "http",
  httpPath: "/healthz",
  httpExpectedStatus: "200",
  intervalMs: 1000,
  timeoutMs: 500,
  rise: 2,
  fall: 2,
};

/** The target by which a backend is probed, the same in all pools. */
export function backendTarget({ hostname, port }: SocketAddress): CheckTarget {
  return checkTargetOf({ ipAddress: hostname, port }, CHECK);
}

/** A service of the demo, and what is told about it. */
export interface SampleService {
  /** A name in `ZONE`. */
  readonly domain: string;
  /** How it answers, in a few words. */
  readonly about: string;
}

/** The services, in the order in which they are introduced. */
export const SERVICES: readonly SampleService[] = [
  { domain: `www.${ZONE}`, about: "each backend in turn" },
  { domain: `api.${ZONE}`, about: "weighted: the first gets three of every five" },
  { domain: `shop.${ZONE}`, about: "backend 2; another pool while it is down" },
];

/** Everything that the demo's node is told, as one commit. */
export function sampleEdits(backends: readonly SocketAddress[], newId: () => string): Edit[] {
  const ids = { www: newId(), api: newId(), shop: newId(), standby: newId() };
  const [first, second = first!, last = second] = backends;
  const weights = [3, 1, 1];
  return [
    { kind: "putZone", domain: ZONE, text: zoneText(first!.port) },
    ...pool(ids.www, { name: "web" }, backends.map((backend) => member(backend))),
    ...pool(
      ids.api,
      { name: "api", algorithm: "weighted-round-robin" },
      backends.map((backend, i) => member(backend, { weight: weights[i]! })),
    ),
    ...pool(ids.standby, { name: "standby" }, [member(last === second ? first! : last)]),
    ...pool(ids.shop, { name: "shop", onAllDown: "fallback", fallbackPoolId: ids.standby }, [member(second)]),
    ...[ids.www, ids.api, ids.shop].map((poolId, i): Edit => ({
      kind: "createService",
      id: newId(),
      // A short TTL, so that a resolver in between doesn't hide what there is to see.
      fields: { ...SERVICE_DEFAULTS, domain: SERVICES[i]!.domain, poolId, ttl: 5 },
    })),
  ];

  function pool(
    id: string,
    fields: Partial<PoolFields> & Pick<PoolFields, "name">,
    members: readonly MemberFields[],
  ): Edit[] {
    return [
      { kind: "createPool", id, fields: { ...POOL_DEFAULTS, ...fields } },
      ...members.map((fields): Edit => ({ kind: "createMember", id: newId(), poolId: id, fields })),
      { kind: "putHealthCheck", poolId: id, fields: CHECK },
    ];
  }
}

function member({ hostname, port }: SocketAddress, fields: Partial<MemberFields> = {}): MemberFields {
  return { ...MEMBER_DEFAULTS, ipAddress: hostname, port, ...fields };
}

const zoneText = (port: number) =>
  `$TTL 60
@           SOA   ns1 hostmaster 1 3600 600 86400 5
@           NS    ns1
@           MX    10 mail
@           TXT   "The Pleiades demo. Nothing here is real."
ns1         A     127.0.0.1
mail        A     192.0.2.25
docs        CNAME www
_http._tcp  SRV   0 0 ${port} www
`;
