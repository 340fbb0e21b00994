/**
 * A machine of its own for a shell script: its own network with loopback alone, its own mounts and processes, so that faults
 * can be set up for real. Its user is root there, whoever runs the test, and nothing of it outlives the script.
 *
 * @module
 */
import { ROOT } from "../../scripts/process.ts";
import type { Finding } from "../../src/doctor/finding.ts";
import { executableOrSources, NAMESPACES, program } from "../programs.ts";

/** What a script did. */
export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a script in an empty folder of its own that all users may enter, `$PWD`; `pleiades` is the executable or the sources, and `hold ADDR:PORT…` a
 * program that listens there, by UDP and TCP, and is ready when it returns.
 */
export async function onMachine(script: string, env: Readonly<Record<string, string>> = {}): Promise<Result> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-machine-" });
  const deno = `'${Deno.execPath()}'`;
  const pleiades = executableOrSources() ??
    `${Deno.execPath()} run -A --unstable-net --no-check ${ROOT}/main.ts`;
  const setUp = `
set -eu
${LOOPBACK}
# A disk with room, whatever the real one has.
mount -t tmpfs -o size=4g none "$PWD"
cd "$PWD"
mkdir bin
printf '#!/bin/sh\nexec %s "$@"\n' '${pleiades}' > bin/pleiades
chmod +x bin/pleiades
PATH=$PWD/bin:$PATH
hold() {
  mkfifo held
  ${deno} run -A --unstable-net --no-check '${ROOT}/tests/doctor/holder.ts' "$@" > held &
  read -r _ < held
}
`;
  try {
    await Deno.chmod(folder, 0o755);
    const { code, stdout, stderr } = await new Deno.Command(program("unshare")!, {
      args: [...NAMESPACES, "bash", "-c", setUp + script],
      cwd: folder,
      env: {
        ...env,
        PLEIADES_API_URL: "",
        PLEIADES_API_TOKEN: "",
        NO_COLOR: "1",
        XDG_STATE_HOME: `${folder}/state`,
      },
      stdin: "null",
    }).output();
    return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Where `ip` is missing, the loopback interface is set up by `ifconfig`. */
const LOOPBACK = "ip link set lo up 2> /dev/null || ifconfig lo up";

/** What `pleiades doctor -o json` printed. */
export function findingsIn({ stdout, stderr }: Result): Finding[] {
  try {
    return JSON.parse(stdout);
  } catch (cause) {
    throw new Error(`no JSON: ${stdout}${stderr}`, { cause });
  }
}
