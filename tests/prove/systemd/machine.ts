/**
 * A machine that systemd runs: namespaces of its own in which it is the first process, with units of the test and a file system
 * that forgets. It takes root, and cgroups that may be made (`--privileged`, where this runs in a container).
 *
 * @module
 */
import { kernelText } from "../../../src/kernel_text.ts";
import { cgroupRoots, program } from "../../programs.ts";

/** What it is made with. */
export interface SystemdOptions {
  /** Unit files and drop-ins by their names, such as `x.service` and `x.service.d/y.conf`. */
  readonly units: Readonly<Record<string, string>>;
  /** What is there as `/usr/local/bin/NAME`, by name. */
  readonly executables: Readonly<Record<string, string>>;
}

const CGROUPS = "/sys/fs/cgroup";
/** Users and groups that it has: those that systemd gives to units (`DynamicUser=`) are among them. */
const ALL_IDS = "0 0 65536";
const PAUSE_MS = 20;
/** Longest wait for the first process, and for its end. */
const START_MS_MAX = 30_000;

/** What a unit that wants nothing of a machine but itself depends on all the same. */
const TARGETS = ["sysinit", "basic", "shutdown", "network-online", "nss-lookup", "multi-user", "default"];

/** A running one. Disposing ends all that runs in it. */
export class SystemdMachine implements AsyncDisposable {
  readonly #folder: string;
  readonly #child: Deno.ChildProcess;
  /** The number of its first process. */
  #init = 0;

  private constructor(folder: string, child: Deno.ChildProcess) {
    this.#folder = folder;
    this.#child = child;
  }

  /** Starts it; resolves when systemd takes orders. `null` = this machine, or this user, can't. @throws {Error} when it doesn't */
  static async start({ units, executables }: SystemdOptions): Promise<SystemdMachine | null> {
    const [systemd, unshare] = [program("systemd"), program("unshare")];
    if (systemd === null || unshare === null) return null;
    const cgroups = cgroupRoots().map((root) => `${root}/pleiades-${crypto.randomUUID()}`);
    for (const cgroup of cgroups) await Deno.mkdir(cgroup);
    const folder = await Deno.makeTempDir({ prefix: "pleiades-systemd-" });
    await Deno.chmod(folder, 0o755);
    const all = {
      ...Object.fromEntries(TARGETS.map((name) => [`${name}.target`, "[Unit]\nDefaultDependencies=no\n"])),
      ...units,
    };
    for (const [name, text] of Object.entries(all)) {
      const path = `${folder}/units/${name}`;
      await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      await Deno.writeTextFile(path, text);
    }
    await Deno.writeTextFile(`${folder}/begin`, beginning(systemd, folder, executables));
    const namespaces = ["user", "mount", "pid", "cgroup", "uts", "ipc", "net"].map((name) => `--${name}`);
    // In a session of its own: what ends this process and its group leaves time to end the rest.
    const child = new Deno.Command("setsid", {
      args: [
        ...["sh", "-c", keeping(cgroups), "sh"],
        ...[unshare, ...namespaces, "--fork", "sh", `${folder}/begin`],
      ],
      ...{ stdin: "piped", stdout: "null", stderr: "null" },
    }).spawn();
    const machine = new SystemdMachine(folder, child);
    try {
      await machine.#begin();
      return machine;
    } catch (error) {
      await machine[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #begin(): Promise<void> {
    const untilMs = performance.now() + START_MS_MAX;
    const parent = await childOf(this.#child.pid, "unshare", untilMs);
    this.#init = await childOf(parent, "sh", untilMs);
    for (const ids of ["uid_map", "gid_map"]) await Deno.writeTextFile(`/proc/${this.#init}/${ids}`, ALL_IDS);
    while (!(await this.run("systemctl", "show", "--property=Version")).success) await pause(untilMs);
  }

  /** Runs a program in it. */
  async run(...line: string[]): Promise<{ readonly success: boolean; readonly text: string }> {
    const { success, stdout, stderr } = await new Deno.Command("nsenter", {
      args: ["--target", String(this.#init), "--all", ...line],
      stdin: "null",
    }).output();
    const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    return { success, text: text.trim() };
  }

  /** What systemd says of a unit. */
  async property(unit: string, name: string): Promise<string> {
    return (await this.run("systemctl", "show", unit, `--property=${name}`, "--value")).text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stdin.close();
    await this.#child.status;
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** What its first process does before it becomes systemd: none of it is seen outside. */
function beginning(systemd: string, folder: string, executables: SystemdOptions["executables"]): string {
  const cgroups = cgroupRoots().length === 1 ? [`mount -t cgroup2 cgroup2 ${CGROUPS}`] : [
    `mount -t tmpfs -o mode=755 tmpfs ${CGROUPS}`,
    `mkdir ${CGROUPS}/systemd ${CGROUPS}/unified`,
    `mount -t cgroup2 cgroup2 ${CGROUPS}/unified`,
    `mount -t cgroup -o none,name=systemd cgroup ${CGROUPS}/systemd`,
  ];
  return [
    "set -e",
    // Until the users are there.
    `until [ "$(id -u)" = 0 ]; do sleep 0.02; done`,
    "mount --make-rprivate /",
    "mount -t proc proc /proc",
    ...cgroups,
    "mount -t tmpfs -o mode=755 tmpfs /run",
    "mkdir -p /run/systemd/system /run/etc /run/bin",
    "cp -a /etc/. /run/etc",
    "mount --bind /run/etc /etc",
    `cp -r ${folder}/units /run/units`,
    ...Object.entries(executables).flatMap(([name, path]) => [
      `touch /run/bin/${name}`,
      `mount --bind ${path} /run/bin/${name}`,
    ]),
    "mount --rbind /run/bin /usr/local/bin",
    ...["/var/lib", "/var/cache"].map((path) => `mount -t tmpfs -o mode=755 tmpfs ${path}`),
    ...["/tmp", "/var/tmp"].map((path) => `mount -t tmpfs -o mode=1777 tmpfs ${path}`),
    "ip link set lo up",
    "export container=unshare SYSTEMD_UNIT_PATH=/run/units",
    `exec ${systemd} --system --unit=default.target --log-target=null`,
  ].map((line) => `${line}\n`).join("");
}

/**
 * Runs its arguments in these cgroups until the input ends, as it does with the process that holds the other end, however that
 * ends; then all is ended, and the cgroups are taken away.
 */
function keeping(cgroups: readonly string[]): string {
  const enter = cgroups.map((cgroup) => `echo 0 > ${cgroup}/cgroup.procs`).join(" && ");
  return [
    `(${enter} && exec "$@") &`,
    "cat > /dev/null",
    // The first process of the machine, with which the kernel ends all others.
    "kill -KILL $(cat /proc/$!/task/$!/children); wait",
    // The kernel keeps those in which a process ends still.
    ...cgroups.map((cgroup) =>
      `while [ -d ${cgroup} ]; do find ${cgroup} -depth -type d -exec rmdir {} + 2> /dev/null || sleep 0.02; done`
    ),
  ].join("\n");
}

/** The child of a process, once there is one that runs this program. */
async function childOf(pid: number, program: string, untilMs: number): Promise<number> {
  for (;;) {
    const children = (kernelText(`/proc/${pid}/task/${pid}/children`) ?? "").trim().split(" ");
    const child = children.find((child) => kernelText(`/proc/${child}/comm`)?.trim() === program);
    if (child !== undefined) return Number(child);
    await pause(untilMs);
  }
}

async function pause(untilMs: number): Promise<void> {
  if (performance.now() > untilMs) throw new Error("systemd was waited for in vain");
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}
