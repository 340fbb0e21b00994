/**
 * Reads a repository whole: by itself, or as a process that also says how much memory that took.
 *
 * @module
 */
import { openRepository } from "../../../src/gitops/remote_repository.ts";
import { RepositoryError } from "../../../src/gitops/repository.ts";
import type { Reader, Reading } from "./hostile.ts";

/** Reads it here; memory isn't measured, since others use it too. */
export const readHere: Reader = async ({ url, caCert, folder, bounds }) => {
  const beganMs = performance.now();
  const auth = { user: null, password: null, token: null, sshKeyPath: null, knownHostsPath: null };
  let fault: RepositoryError | null = null;
  try {
    await using repository = openRepository({ url, branch: "main", auth, folder, bounds, caCerts: [caCert] });
    const { head } = await repository.fetch({ known: null, signal: new AbortController().signal });
    for await (const file of repository.files(head, "")) await file.read();
  } catch (error) {
    if (!(error instanceof RepositoryError)) throw error;
    fault = error;
  }
  const sizes = [...Deno.readDirSync(folder)].map(({ name }) => Deno.statSync(`${folder}/${name}`).size);
  return {
    reason: fault?.reason ?? null,
    message: fault?.message ?? "",
    tookMs: performance.now() - beganMs,
    grewBytes: null,
    diskBytes: sizes.reduce((sum, size) => sum + size, 0),
  };
};

/** Has a process of its own read it. */
export const readInProcess: Reader = async (terms) => {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--unstable-net", import.meta.filename!, JSON.stringify(terms)],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
};

/** Has a process of its own read it, and kills it after a while; gives whether it was still at it. */
export async function killWhileReading(terms: Parameters<Reader>[0], afterMs: number): Promise<boolean> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--unstable-net", import.meta.filename!, JSON.stringify(terms)],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const timer = setTimeout(() => {
    try {
      child.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      // It has ended by itself, of which this process is about to hear.
    }
  }, afterMs);
  const { signal } = await child.output();
  clearTimeout(timer);
  return signal === "SIGKILL";
}

/** The most that this process had in RAM. */
function peakBytes(): number {
  const line = /^VmHWM:\s+(\d+) kB$/m.exec(Deno.readTextFileSync("/proc/self/status"));
  return Number(line![1]) * 1024;
}

if (import.meta.main) {
  const before = peakBytes();
  const reading: Reading = await readHere(JSON.parse(Deno.args[0]!));
  console.log(JSON.stringify({ ...reading, grewBytes: peakBytes() - before }));
}
