/**
 * What health checks cost: processor time for 10,000 members at a 10 s interval, as a share of one core.
 *
 * The bars are 25 % for TCP and 40 % for HTTP, 250 and 400 µs a probe. The backend runs in a process of its own, so
 * that its time isn't counted; every member has an address of its own in 127.0.0.0/8. Run it by
 * `deno task bench health [SECONDS]`.
 *
 * @module
 */
import { cpuUsage } from "node:process";
import { seededRng, systemClock } from "../src/clock.ts";
import { type CheckTarget, checkTargetOf } from "../src/desired/check_target.ts";
import { HEALTH_CHECK_DEFAULTS, type HealthCheck } from "../src/model/model.ts";
import { createProbe } from "../src/health/probe.ts";
import { HealthChecker } from "../src/health/health_checker.ts";
import { createLogger } from "../src/telemetry/log.ts";

const MEMBERS = 10_000;
const INTERVAL_MS = 10_000;

/**
 * Measures and prints, a line per kind of check; takes some three times `seconds`, hence not `quick`.
 *
 * @throws {Error} when a probe failed: then the figures are of something else
 */
export async function bench([seconds = "20"]: string[]): Promise<void> {
  console.log(`${MEMBERS} members, every ${INTERVAL_MS / 1000} s, measured for ${seconds} s each`);
  for (const cost of await measureHealth(Number(seconds))) {
    const { name, cpuPercent, barPercent, microsPerProbe, probes, failures } = cost;
    console.log(
      `${name}: ${cpuPercent.toFixed(1)} % of one core (bar ${barPercent} %), ` +
        `${microsPerProbe.toFixed(0)} µs a probe, ${probes} probes`,
    );
    if (failures > 0) throw new Error(`${failures} of ${probes} probes of ${name} failed`);
  }
}

/** One row of the result. */
export interface HealthCost {
  /** What was probed how. */
  readonly name: string;
  /** Of one core. */
  readonly cpuPercent: number;
  /** What it may be at most. */
  readonly barPercent: number;
  /** Processor time of a probe, in microseconds. */
  readonly microsPerProbe: number;
  /** Probes made in the time measured. */
  readonly probes: number;
  /** Probes that failed; there must be none. */
  readonly failures: number;
}

/** Measures each kind of check for `seconds`, after a first round. */
export async function measureHealth(seconds: number): Promise<HealthCost[]> {
  await using backend = await Backend.start();
  const check = { ...HEALTH_CHECK_DEFAULTS, intervalMs: INTERVAL_MS };
  return [
    await measure("tcp", { check, port: backend.port, barPercent: 25, seconds }),
    await measure("http", { check: { ...check, type: "http" }, port: backend.port, barPercent: 40, seconds }),
    await measure("http with httpContains", {
      check: { ...check, type: "http", httpContains: "ready" },
      port: backend.port,
      barPercent: 40,
      seconds,
    }),
  ];
}

interface Load {
  readonly check: HealthCheck;
  readonly port: number;
  readonly barPercent: number;
  readonly seconds: number;
}

async function measure(name: string, { check, port, barPercent, seconds }: Load): Promise<HealthCost> {
  let probes = 0;
  let failures = 0;
  await using checker = new HealthChecker({
    clock: systemClock,
    rng: seededRng(1),
    probe: createProbe({ version: "bench", clock: systemClock, caCerts: [] }),
    log: createLogger({ level: "warn", format: "text", clock: systemClock }),
    onVerdicts: () => {},
    observer: {
      probed: (_type, result) => {
        probes++;
        if (result !== "success") failures++;
      },
      detected: () => {},
    },
  });
  checker.use(targets(check, port));
  await checker.firstRound(AbortSignal.timeout(30_000));
  probes = 0;
  const startMs = performance.now();
  const start = cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const { user, system } = cpuUsage(start);
  const cpuPercent = (user + system) / 10 / (performance.now() - startMs);
  return { name, cpuPercent, barPercent, microsPerProbe: (user + system) / probes, probes, failures };
}

function targets(check: HealthCheck, port: number): CheckTarget[] {
  return Array.from({ length: MEMBERS }, (_, i) => {
    const ipAddress = `127.${1 + (i >> 14)}.${(i >> 7) & 127}.${1 + (i & 127)}`;
    return checkTargetOf({ ipAddress, port }, check);
  });
}

/** A web server in a child process. */
class Backend implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly port: number;

  private constructor(child: Deno.ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(): Promise<Backend> {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--unstable-net", import.meta.filename!, "backend"],
      stdout: "piped",
    }).spawn();
    for await (const bytes of child.stdout.values({ preventCancel: true })) {
      return new Backend(child, Number(new TextDecoder().decode(bytes)));
    }
    throw new Error("Cannot start the backend: it ended without naming its port");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill();
    await this.#child.stdout.cancel();
    await this.#child.status;
  }
}

async function serveBackend(): Promise<void> {
  const listener = Deno.listen({ hostname: "0.0.0.0", port: 0 });
  console.log(listener.addr.port);
  for await (const connection of listener) answer(connection);
}

const RESPONSE = new TextEncoder().encode(
  "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\nConnection: close\r\n\r\nready\n",
);

async function answer(connection: Deno.Conn): Promise<void> {
  try {
    if (await connection.read(new Uint8Array(1024))) await connection.write(RESPONSE);
  } catch (error) {
    // A TCP probe goes away without a word.
    if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
  } finally {
    connection.close();
  }
}

if (import.meta.main && Deno.args[0] === "backend") await serveBackend();
