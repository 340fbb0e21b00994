/**
 * An API over a database in memory, with a node that answers as the test says.
 *
 * @module
 */
import type { Examined } from "../../src/doctor/check.ts";
import { createApi } from "../../src/api/api.ts";
import { KnownTokens } from "../../src/api/known_tokens.ts";
import type { ApiParts } from "../../src/api/ports.ts";
import { DOCTOR, Doctor } from "../../src/doctor/doctor.ts";
import { AUDIT, AuditTrail } from "../../src/change/audit_trail.ts";
import { Changes } from "../../src/change/commit.ts";
import { UNKNOWN_VERDICT } from "../../src/health/verdict.ts";
import { Ports } from "../../src/port.ts";
import type { AuditRow } from "../../src/store/audit.ts";
import { Store } from "../../src/store/store.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { ManualClock } from "../clock.ts";
import { worldOf } from "../explain/world.ts";

/** An API with all that stands behind it. */
export interface ApiWorld extends Disposable {
  readonly store: Store;
  readonly changes: Changes;
  readonly clock: ManualClock;
  readonly parts: ApiParts;
  /** What the audit has, the oldest first. */
  audited(): readonly AuditRow[];
  /** Lines that were logged at warn or above. */
  readonly logged: string[];
  /** Sends a request; a body that isn't text goes as JSON. */
  send(line: string, options?: SendOptions): Promise<Response>;
  /** Sends a create and gives the object back. */
  create<Created = Stored>(path: string, fields: unknown): Promise<Created>;
}

/** What a request carries. */
export interface SendOptions {
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

/** What every created object has. */
export interface Stored {
  readonly id: string;
}

/** Builds an API; `overrides` replace single parts. */
export function apiWorld(overrides: Partial<ApiParts> = {}): ApiWorld {
  const store = Store.memory();
  const clock = new ManualClock();
  const changes = new Changes({ store, clock });
  const logged: string[] = [];
  const log = createLogger({ level: "warn", format: "json", clock, write: (line) => logged.push(line) });
  const { auth = { tokens: [], loopback: true } } = overrides;
  const ports = new Ports();
  const trail = new AuditTrail({ store, clock, log, limits: { keep: 1_000, maxAgeMs: 86_400_000 } });
  ports.offer(AUDIT, trail);
  ports.offer(DOCTOR, new Doctor(() => ({ clock } as unknown as Examined), []));
  const parts: ApiParts = {
    store,
    changes,
    auth,
    credentials: new KnownTokens({ access: auth, store, clock, log }),
    ports,
    node: {
      settled: () => Promise.resolve(),
      memberHealth: () => ({ ...UNKNOWN_VERDICT, eligible: true, why: null }),
      poolState: () => null,
      lackOfRule: () => null,
      failBack: () => "was in",
      status: () => ({
        node: { id: "node-1", region: "eu" },
        cluster: { id: "default" },
        uptimeSeconds: 12.5,
        dns: {
          listeners: [{ transport: "udp", address: "127.0.0.1:5353" }],
          answers: 42,
          workers: 1,
          udp: { transport: "linux", reason: null },
          limited: { denied: 1, refused: 2, rate: 3, amplification: 4, overload: 5 },
        },
        health: { healthy: 1, unhealthy: 0, unknown: 0 },
        peers: null,
        poolsDown: { count: 0, pools: [] },
        license: {
          ...{ state: "off", reason: null, tier: null, id: null, limit: null, used: 0, expiresMs: null },
          warnings: [],
        },
      }),
      settingsFallback: () => null,
      unready: () => null,
    },
    explainer: worldOf({ pools: [], services: [] }).explainer,
    exposeMetrics: () => Promise.resolve("pleiades_up 1\n"),
    observe: null,
    log,
    clock,
    version: "0.0.0-test",
    ...overrides,
  };
  const app = createApi(parts);
  const send = async (line: string, { body, headers = {} }: SendOptions = {}) => {
    const [method, path] = line.split(" ");
    const isJson = body !== undefined && typeof body !== "string";
    return await app.request(`http://localhost${path}`, {
      method: method!,
      headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
      ...(body !== undefined && { body: isJson ? JSON.stringify(body) : body as string }),
    });
  };
  return {
    store,
    changes,
    clock,
    parts,
    logged,
    audited: () => {
      trail.flush();
      return store.audit.page({ limit: 10_000 }, null).items.toReversed();
    },
    send,
    create: async (path, fields) => {
      const response = await send(`POST /api/v1${path}`, { body: fields });
      if (response.status !== 201) throw new Error(`${response.status}: ${await response.text()}`);
      return await response.json();
    },
    [Symbol.dispose]: () => store.close(),
  };
}
