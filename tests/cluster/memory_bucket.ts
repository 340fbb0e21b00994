/** @module A bucket in memory, as real ones behave as far as the cluster goes by it. */
import type { BucketEntry, ConfigBucket, Headers } from "../../src/cluster/config_bucket.ts";

/** Values by key. */
export class MemoryBucket implements ConfigBucket {
  readonly valueSizeMax: number;
  readonly entries = new Map<string, BucketEntry>();
  /** What its clock says, Unix milliseconds. */
  nowMs = 1_000_000;
  #revision = 0;

  constructor(valueSizeMax = 1 << 20) {
    this.valueSizeMax = valueSizeMax;
  }

  put(key: string, value: Uint8Array, headers: Headers = {}): Promise<number> {
    if (value.length > this.valueSizeMax) return Promise.reject(new Error("max_payload size exceeded"));
    const revision = ++this.#revision;
    this.entries.set(key, { value: value.slice(), headers, revision, atMs: this.nowMs });
    return Promise.resolve(revision);
  }

  putOver(
    key: string,
    value: Uint8Array,
    seen: Pick<BucketEntry, "revision"> | null,
  ): Promise<number | null> {
    const revision = this.entries.get(key)?.revision;
    return revision === seen?.revision ? this.put(key, value) : Promise.resolve(null);
  }

  get(key: string): Promise<BucketEntry | null> {
    return Promise.resolve(this.entries.get(key) ?? null);
  }

  edition(): Promise<string> {
    return Promise.resolve(`${this.#revision} ${this.entries.size}`);
  }

  keys(pattern: string): Promise<readonly string[]> {
    return Promise.resolve(this.#named(pattern));
  }

  remove(pattern: string): Promise<void> {
    for (const key of this.#named(pattern)) this.entries.delete(key);
    return Promise.resolve();
  }

  #named(pattern: string): string[] {
    const steps = pattern.split(".");
    return [...this.entries.keys()].filter((key) => {
      const own = key.split(".");
      const isRest = steps.at(-1) === ">";
      if (isRest ? own.length < steps.length : own.length !== steps.length) return false;
      return steps.every((step, i) => step === "*" || step === ">" || step === own[i]);
    });
  }
}
