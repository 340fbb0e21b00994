/**
 * A node's part in what the cluster's nodes share of their models: it takes over documents that are published, by the path of
 * every change, and publishes its own model as one.
 *
 * Nodes have one log, so a document is taken by one of them for all. Which one it was stands in the bucket (key `taken`): a
 * node that starts again leaves alone what was edited since. They try one after the other, and whoever says first that it
 * takes the document does. A document that was published before the one that was taken last is left alone, whatever the
 * server's revisions say: the history has that date, and goes with the log.
 *
 * @module
 */
import type { NatsConnection } from "@nats-io/nats-core";
import { z } from "zod";
import { anySignal } from "../any_signal.ts";
import type { Clock } from "../clock.ts";
import { natsFault } from "../nats/fault.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Registry } from "../telemetry/metrics.ts";
import { type BucketEntry, openConfigBucket } from "./config_bucket.ts";
import { type ClusterEvent, watchCluster } from "./document_watch.ts";
import {
  type ClusterDocument,
  DocumentFault,
  type DocumentName,
  type DocumentPlace,
  type DocumentType,
  ensureConfigStream,
  publishCluster,
  snapshotCluster,
} from "./documents.ts";
import { ModelPartsFault, sweepModels } from "./model_parts.ts";
import type { HeldModel, SharedModel, SharingStatus } from "./port.ts";
import type { RefusedReason, Trust } from "./trust.ts";
import { wireNames } from "./wire_format.ts";

/** What became of a document. */
export type Taken =
  | { readonly kind: "applied"; readonly changed: boolean; readonly generation: number }
  /** Its model is wrong, or a guard refused it. */
  | { readonly kind: "refused"; readonly reason: string }
  /** It may be tried again. */
  | { readonly kind: "busy"; readonly reason: string };

/** A model's text, and how to read it; it is held until it is disposed of. */
export interface ModelText extends Disposable {
  /** Of the model. */
  readonly generation: number;
  /** As files have it. */
  readonly type: DocumentType;
  /** In order, read once. */
  readonly body: Iterable<Uint8Array>;
}

/** What a node makes of documents. */
export interface DocumentTaker {
  /** Makes a document's model the stored one. */
  take(document: ClusterDocument, signal: AbortSignal): Promise<Taken>;
  /** The model of now. */
  text(): ModelText;
  /** When the last document was published that is in the history, Unix milliseconds; 0 = there is none. */
  lastPublishedMs(): number;
  /** How long this node leaves a document to others, milliseconds. */
  turnMs(): number;
  /** The commit of Git that the model is to be published as, and when it was applied; `null` = there is none. */
  toPublish(): (DocumentName & { readonly atMs: number }) | null;
}

/** What it is made with. */
export interface ModelSharingNeeds {
  /** Names and paces. */
  readonly terms: {
    readonly cluster: string;
    readonly node: string;
    /** JetStream domain; `null` = the server's own. */
    readonly domain: string | null;
    /** Servers that keep a copy of what is made; 1 when left out. */
    readonly replicas?: number;
    /** How often the bucket is looked at without a hint, milliseconds. */
    readonly lookMs: number;
  };
  /** Signs and checks. */
  readonly trust: Trust;
  /** Takes documents, and has one to publish. */
  readonly taker: DocumentTaker;
  /** Paces and dates. */
  readonly clock: Clock;
  /** Hears what was taken, and what wasn't. */
  readonly log: Logger;
  /** Gets the metrics. */
  readonly registry: Registry;
}

/** Models besides that of the last document that stay in the bucket. */
const KEPT = 2;
/** When a node that was overtaken looks again at who has taken a document, milliseconds. */
const AGAIN_MS = 100;
/** How far a publisher's clock may be ahead, milliseconds. */
const AHEAD_MAX_MS = 86_400_000;

const TAKEN = z.object({
  v: z.literal(1),
  id: z.string().regex(/^[0-9a-f]{64}$/),
  publishedMs: z.int().min(0),
  node: z.string().max(63),
  isDone: z.boolean(),
});
/** Who takes which document. */
type Mark = Omit<z.infer<typeof TAKEN>, "v">;
/** Which document it is, and when it was published. */
type Published = Pick<ClusterDocument, "id" | "publishedMs">;
/** A document that this node takes for all, and the revision of the mark that says so. */
interface Claim {
  readonly document: ClusterDocument;
  readonly revision: number;
}
/** Its key. */
const TAKEN_KEY = "taken";

/** Shares models over one connection after the other. */
export class ModelSharing implements SharedModel {
  readonly #needs: ModelSharingNeeds;
  readonly #refused: (reason: RefusedReason) => void;
  readonly #documents: (result: "applied" | "unchanged" | "refused") => void;
  #place: DocumentPlace | null = null;
  /** Of the last document that was seen to be taken. */
  #last: Published = { id: "", publishedMs: 0 };
  /** The commit of Git of which it is known that it is published, or needn't be. */
  #seenCommit = "";
  #publishFault = "";
  #woken = new AbortController();
  #status: SharingStatus = { taken: null, fault: null };

  /** Shares nothing until a session begins. */
  constructor(needs: ModelSharingNeeds) {
    this.#needs = needs;
    const documents = needs.registry.counter(
      "pleiades_cluster_documents_total",
      "Documents of the cluster that were to be made the model.",
      ["result"],
    );
    this.#refused = (reason) => needs.trust.refuse(reason);
    this.#documents = (result) => documents.labels(result).inc();
  }

  /** How it stands. */
  status(): SharingStatus {
    return this.#status;
  }

  /** Whether there is a server to publish by. */
  get isConnected(): boolean {
    return this.#place !== null;
  }

  /** Shares over one connection until the signal is aborted; whatever fails is tried again. */
  async session(connection: NatsConnection, signal: AbortSignal): Promise<void> {
    const { terms, clock } = this.#needs;
    while (!signal.aborted) {
      try {
        const place = await this.#open(connection, signal);
        this.#place = place;
        const failed = new AbortController();
        const end = anySignal([signal, failed.signal]);
        const both = [this.#follow(connection, place, end), this.#publishApplied(place, end)];
        for (const one of both) one.catch(() => failed.abort());
        try {
          await Promise.all(both);
        } finally {
          await Promise.allSettled(both);
        }
      } catch (error) {
        if (signal.aborted) return;
        this.#tellFault(natsFault(error, "NATS"));
        await clock.sleep(terms.lookMs, signal);
      } finally {
        this.#place = null;
      }
    }
  }

  /** Holds the model of now to be published, whatever is changed meanwhile. */
  hold(): HeldModel {
    const text = this.#needs.taker.text();
    return {
      generation: text.generation,
      publish: (name, signal) => this.#publish(text, name, signal),
      [Symbol.dispose]: () => text[Symbol.dispose](),
    };
  }

  async #publish({ type, body }: ModelText, name: DocumentName, signal: AbortSignal): Promise<void> {
    const place = this.#place;
    if (place === null) throw new Error("There is no connection to NATS");
    if (place.signing !== null && !place.signing.canSign) {
      throw new Error("Documents of this cluster are signed, and this node has no key (state.signing.key)");
    }
    await publishCluster(place, {
      ...{ type, body, ...name, signal },
      // Of what this node has all others have it from the log.
      prepared: async ({ id, publishedMs }) => {
        await place.bucket.put(TAKEN_KEY, this.#markOf({ id, publishedMs }, true));
        this.#last = { id, publishedMs };
      },
    });
    this.#needs.log.info("Published the model", { version: name.version, commit: name.commit });
    await sweepModels(place, { keep: KEPT, named: new Set() });
  }

  /** Looks again whether there is something to publish. */
  wake(): void {
    this.#woken.abort();
  }

  /**
   * Publishes what was applied from Git, unless it is published already or something else was since. Of several nodes that
   * follow one repository the first does.
   */
  async #publishApplied(place: DocumentPlace, signal: AbortSignal): Promise<void> {
    const { taker, clock, terms: { lookMs } } = this.#needs;
    while (!signal.aborted) {
      if (this.#woken.signal.aborted) this.#woken = new AbortController();
      const name = taker.toPublish();
      if (name !== null && name.commit !== this.#seenCommit) {
        const there = await snapshotCluster(place).catch(ignoreDocumentFault);
        const isNews = there === null || (there.commit !== name.commit && there.publishedMs < name.atMs);
        if (!isNews || await this.#hasPublished(name, signal)) this.#seenCommit = name.commit;
      }
      await clock.sleep(lookMs, anySignal([signal, this.#woken.signal]));
    }
  }

  /** Whether it could; why not is told once. */
  async #hasPublished(name: DocumentName, signal: AbortSignal): Promise<boolean> {
    try {
      using model = this.hold();
      await model.publish(name, signal);
      this.#publishFault = "";
      return true;
    } catch (error) {
      const reason = natsFault(error, "NATS");
      if (reason !== this.#publishFault) {
        this.#needs.log.warn("The commit isn't published", { commit: name.commit, reason });
      }
      this.#publishFault = reason;
      return false;
    }
  }

  async #open(connection: NatsConnection, signal: AbortSignal): Promise<DocumentPlace> {
    const { terms: { cluster, node, domain, replicas = 1 }, trust: { signing }, clock } = this.#needs;
    const terms = { bucket: wireNames(cluster, node).configBucket, domain, replicas };
    const bucket = await openConfigBucket(connection, terms, { clock, signal });
    const announce = await ensureConfigStream(connection, {
      stream: `GSLB_${cluster.toUpperCase()}_CONFIG`,
      subject: subjectOf(cluster),
      ...{ domain, replicas },
    });
    return { bucket, announce, signing, clock, unixMs: () => clock.unixMs() };
  }

  async #follow(connection: NatsConnection, place: DocumentPlace, signal: AbortSignal): Promise<void> {
    const { terms: { cluster, lookMs }, clock } = this.#needs;
    const hints = {
      subscribe: (listener: () => void) => {
        const subscription = connection.subscribe(subjectOf(cluster), { callback: () => listener() });
        return { [Symbol.dispose]: () => subscription.unsubscribe() };
      },
    };
    for await (const event of watchCluster(place, { hints, lookMs, clock, signal })) {
      if (event === null) continue;
      let isSettled = await this.#hear(place, event, signal);
      while (!isSettled && !signal.aborted) {
        await clock.sleep(lookMs, signal);
        isSettled = signal.aborted || await this.#hear(place, event, signal);
      }
    }
  }

  /** Whether there is nothing more to be done about it. */
  async #hear(place: DocumentPlace, event: ClusterEvent, signal: AbortSignal): Promise<boolean> {
    const { taker, clock } = this.#needs;
    if (event.type === "delete") {
      this.#status = { ...this.#status, fault: null };
      return true;
    }
    if (event.type === "fault") {
      this.#refused(event.fault.refused ?? "unreadable");
      this.#tellFault(event.fault.message);
      return true;
    }
    const { document } = event;
    if (this.#isOthers(document, markOf(await place.bucket.get(TAKEN_KEY)))) return true;
    await clock.sleep(taker.turnMs(), signal);
    while (!signal.aborted) {
      const seen = await place.bucket.get(TAKEN_KEY);
      if (this.#isOthers(document, markOf(seen))) return true;
      let claim: Claim | null;
      try {
        claim = await this.#mark(place, { document, isDone: false, seen });
      } catch (error) {
        // Who may not publish takes nothing for the others either.
        if (/permissions violation/i.test(String(error))) return true;
        throw error;
      }
      if (claim !== null) return await this.#take(place, claim, signal);
      // Nodes that don't see each other yet have the same turn. The copy that was read may be older than what was written.
      await clock.sleep(AGAIN_MS, signal);
    }
    return true;
  }

  /** Whether a document isn't this node's to take: it is old, or taken. */
  #isOthers({ id, publishedMs }: ClusterDocument, mark: Mark | null): boolean {
    const { terms: { node }, taker, clock } = this.#needs;
    if (mark !== null && mark.publishedMs > this.#last.publishedMs) this.#last = mark;
    if (mark?.id === id && (mark.isDone || mark.node !== node)) return true;
    if (id === this.#last.id && mark?.isDone !== false) return true;
    const lastMs = Math.max(id === this.#last.id ? 0 : this.#last.publishedMs, taker.lastPublishedMs());
    if (publishedMs > clock.unixMs() + AHEAD_MAX_MS) {
      this.#refused("early");
      this.#tellFault("The document says that it was published in the future, and none after it would count");
      return true;
    }
    if (publishedMs > lastMs) return false;
    this.#refused("stale");
    this.#tellFault("The document was published before the one that was taken last");
    return true;
  }

  async #take(place: DocumentPlace, claim: Claim, signal: AbortSignal): Promise<boolean> {
    const { taker, log } = this.#needs;
    const { document, revision } = claim;
    const { version, commit, publishedMs } = document;
    const done = () => this.#mark(place, { document, isDone: true, seen: { revision } });
    let taken: Taken;
    try {
      taken = await taker.take(document, signal);
    } catch (error) {
      if (signal.aborted) return true;
      const refused = error instanceof ModelPartsFault ? error.refused : null;
      this.#refused(refused ?? "unreadable");
      this.#tellFault(error instanceof Error ? error.message : String(error));
      await done();
      return true;
    }
    if (taken.kind === "busy") {
      this.#tellFault(taken.reason);
      return false;
    }
    await done();
    if (taken.kind === "refused") {
      this.#documents("refused");
      this.#tellFault(taken.reason);
      return true;
    }
    const { changed, generation } = taken;
    this.#documents(changed ? "applied" : "unchanged");
    this.#status = { taken: { version, commit, publishedAt: publishedMs }, fault: null };
    log.info("Took over a document of the cluster", { version, commit, changed, generation });
    return true;
  }

  /** Says that this node takes a document, or has taken it; `null` = another node has said something since. */
  async #mark({ bucket }: DocumentPlace, { document, isDone, seen }: {
    readonly document: ClusterDocument;
    readonly isDone: boolean;
    readonly seen: Pick<BucketEntry, "revision"> | null;
  }): Promise<Claim | null> {
    const revision = await bucket.putOver(TAKEN_KEY, this.#markOf(document, isDone), seen);
    if (revision === null) return null;
    // Without its text.
    this.#last = { id: document.id, publishedMs: document.publishedMs };
    return { document, revision };
  }

  #markOf({ id, publishedMs }: Published, isDone: boolean): Uint8Array {
    const mark: Mark = { id, publishedMs, node: this.#needs.terms.node, isDone };
    return new TextEncoder().encode(JSON.stringify({ v: 1, ...mark }));
  }

  #tellFault(fault: string): void {
    if (fault !== this.#status.fault) {
      this.#needs.log.warn("The cluster's document isn't taken over", { reason: fault });
    }
    this.#status = { ...this.#status, fault };
  }
}

/** A document that isn't believed is none that would have to stay. */
function ignoreDocumentFault(error: unknown): null {
  if (error instanceof DocumentFault) return null;
  throw error;
}

function subjectOf(cluster: string): string {
  return `gslb.${cluster}.config`;
}

/** What a node wrote; another one's text counts as none. */
function markOf(entry: BucketEntry | null): Mark | null {
  if (entry === null) return null;
  try {
    return TAKEN.parse(JSON.parse(new TextDecoder().decode(entry.value)));
  } catch {
    return null;
  }
}
