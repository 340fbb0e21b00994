/**
 * What a process may do, as Linux tells in `/proc`.
 *
 * @module
 */
import { kernelText } from "../kernel_text.ts";
import type { Rights } from "./check.ts";

/** Numbers of capabilities(7). */
export const CAPABILITY = { netBindService: 10, netAdmin: 12 } as const;

/** What this process may do; what isn't known is `null`. */
export function ownRights(limit: "soft" | "hard"): Rights {
  const [status, limits] = [textOf("/proc/self/status"), textOf("/proc/self/limits")];
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  const files = /^Max open files\s+(\d+)\s+(\d+)/m.exec(limits);
  return {
    capabilities: effective === undefined ? null : BigInt(`0x${effective}`),
    openFiles: files === null ? null : Number(files[limit === "soft" ? 1 : 2]),
  };
}

/** Whether it has a capability; where that isn't known, it is taken to have it. */
export function mayDo({ capabilities }: Rights, capability: number): boolean {
  return capabilities === null || (capabilities >> BigInt(capability) & 1n) === 1n;
}

/** A number of the kernel, such as `net/core/rmem_max`; `null` where it doesn't tell. */
export function kernelNumber(name: string): number | null {
  const text = textOf(`/proc/sys/${name}`).trim();
  return /^\d+$/.test(text) ? Number(text) : null;
}

/** Empty where there is no such file: another system, or a sandbox. */
function textOf(path: string): string {
  return kernelText(path) ?? "";
}
