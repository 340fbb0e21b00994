/**
 * Probes in a process that has no file descriptors left, or only some: run by `probe_test.ts` as a process of its own,
 * since nothing else can be done in such a one. Ends with code 0 when none of them blames its target.
 *
 * @module
 */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { seededRng, systemClock } from "../../src/clock.ts";
import { checkTargetOf } from "../../src/desired/check_target.ts";
import { HEALTH_CHECK_DEFAULTS } from "../../src/model/model.ts";
import { createProbe } from "../../src/health/probe.ts";
import { HealthChecker } from "../../src/health/health_checker.ts";
import { createLogger } from "../../src/telemetry/log.ts";

// Connections to it wait in the kernel for an answer that never comes.
const { port } = Deno.listen({ hostname: "127.0.0.1", port: 0 }).addr;
const targets = (["tcp", "http", "https", "https"] as const).map((type, index) =>
  checkTargetOf({ ipAddress: "127.0.0.1", port }, {
    ...HEALTH_CHECK_DEFAULTS,
    type,
    insecureSkipVerify: index === 3,
    intervalMs: 100,
    timeoutMs: 50,
    fall: 1,
  })
);
const probe = createProbe({ version: "0", clock: systemClock, caCerts: [] });

// Once through all that a probe loads.
for (const target of targets) await probe(target, AbortSignal.timeout(100));

const files: Deno.FsFile[] = [];
takeAll();

const counted: string[] = [];
const rounds = Promise.withResolvers<void>();
const lines: string[] = [];
{
  await using checker = new HealthChecker({
    clock: systemClock,
    rng: seededRng(1),
    probe,
    log: createLogger({
      level: "info",
      format: "text",
      clock: systemClock,
      write: (line) => lines.push(line),
    }),
    onVerdicts: () => {},
    observer: {
      probed: (_type, result) => {
        counted.push(result);
        if (counted.length === 2 * targets.length) rounds.resolve();
      },
      detected: () => {},
    },
  });
  const healthy = { state: "healthy", since: 1, lastError: null, latencyMs: 1, checkedAt: 1 } as const;
  checker.restore(targets.map(({ key }) => [key, healthy]));
  checker.use(targets);
  await rounds.promise;
  for (const { key } of targets) equal(checker.verdict(key).state, "healthy");
}
deepEqual([...new Set(counted)], ["error"]);
ok(
  lines.some((line) => line.includes("Cannot probe") && line.includes("Too many open files")),
  lines.join("\n"),
);

// With some left each probe gets a little further.
for (const target of targets) {
  for (let left = 1;; left++) {
    ok(left < 20, "no number of descriptors suffices");
    files.pop()!.close();
    const signal = AbortSignal.timeout(100);
    const result = await probe(target, signal).catch((error) => error as Error);
    if (signal.aborted || "ok" in result && result.ok) break; // it got as far as the target
    ok(
      result instanceof Error,
      `${target.check.type} with ${left} descriptors left: ${JSON.stringify(result)}`,
    );
  }
  takeAll();
}
await rejects(probe(targets[0]!, AbortSignal.timeout(100)), /Too many open files/);
Deno.exit(0);

function takeAll(): void {
  for (;;) {
    try {
      files.push(Deno.openSync("/dev/null"));
    } catch {
      return;
    }
  }
}
