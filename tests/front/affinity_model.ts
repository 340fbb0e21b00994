/**
 * The rules of affinity in the plainest form: a map of clients, looked through as a whole whenever something is due.
 *
 * @module
 */
import type { Backend } from "../../src/front/backends.ts";

interface Client {
  primary: number;
  backup: number;
  lastMs: number;
}

/** What `Affinity` must agree with. */
export class AffinityModel {
  readonly #backends: () => readonly Backend[];
  readonly #clients = new Map<number, Client>();
  #lastChosen = 0;
  #startedMs = 0;

  constructor(backends: () => readonly Backend[]) {
    this.#backends = backends;
  }

  /** The number of the backend for a client; 0 = none. */
  choose(key: number, nowMs: number): number {
    let client = this.#clients.get(key);
    if (!client) this.#clients.set(key, client = { primary: 0, backup: 0, lastMs: nowMs });
    client.lastMs = nowMs;
    const primary = this.#backends().find(({ id }) => id === client.primary);
    if (!primary || primary.removed) {
      client.backup = 0;
      return client.primary = this.#select();
    }
    if (primary.ok) {
      client.backup = 0;
      return client.primary;
    }
    const isBackupOk = this.#backends().some(({ id, ok }) => id === client.backup && ok);
    return isBackupOk ? client.backup : client.backup = this.#select();
  }

  tick(nowMs: number): void {
    const elapsed = nowMs - this.#startedMs;
    if (elapsed % 15_000 === 0) this.#rebalance(); // before some are forgotten, which takes its time
    if (elapsed % 30_000 === 0) {
      for (const [key, { lastMs }] of this.#clients) if (nowMs - lastMs > 300_000) this.#clients.delete(key);
    }
  }

  table(): string[] {
    return [...this.#clients].map(([key, { primary, backup }]) =>
      `10.0.${key >>> 8}.${key & 0xff} ${primary} ${backup}`
    ).sort();
  }

  countOf(id: number): number {
    return [...this.#clients.values()].filter(({ primary }) => primary === id).length;
  }

  #select(): number {
    const ok = this.#backends().filter((backend) => backend.ok).map(({ id }) => id);
    if (ok.length === 0) return 0;
    return this.#lastChosen = ok.find((id) => id > this.#lastChosen) ?? ok[0]!;
  }

  #rebalance(): void {
    const ok = this.#backends().filter((backend) => backend.ok);
    if (ok.length === 0) return;
    const counts = ok.map(({ id }) => this.countOf(id));
    const most = Math.max(...counts);
    const excess = most - Math.min(...counts) - ok.length;
    if (excess <= 0) return;
    const busiest = ok[counts.indexOf(most)]!.id;
    const mine = [...this.#clients].filter(([, { primary }]) => primary === busiest).sort(([a], [b]) =>
      a - b
    );
    for (const [, client] of mine.slice(0, excess)) client.primary = client.backup = 0;
  }
}
