/**
 * The process that is there, as it hands over to the one that comes (`conversation.ts` has the order). Until the other one
 * says that all is done, whatever happens to it leaves this one as it was.
 *
 * @module
 */
import type { SocketAddress } from "../ip.ts";
import type { Logger } from "../telemetry/log.ts";
import { type Answer, type Ask, type Conversation, PROTOCOL, type Received } from "./conversation.ts";
import { encodeState, type FrozenState, type LastState, type ReleasedState } from "./state.ts";

/** What is handed over. */
export interface HandsOver {
  /** Why nothing can be; `null` = it can. */
  whyNot(): string | null;
  /**
   * Writes nothing more into the database.
   *
   * @throws {Error} why it can't be done now; all is as before then
   */
  freeze(): Promise<FrozenState>;
  /**
   * Receives no more UDP.
   *
   * @throws {Error} why it can't be done
   */
  release(): Promise<{
    readonly state: ReleasedState;
    readonly sockets: readonly { readonly address: SocketAddress; readonly fd: number }[];
  }>;
  /** Whether the database is what it was when it was frozen. */
  isUnharmed(): boolean;
  /** Goes on after `freeze`, and `release`. @param mayWrite whether into the database, too */
  goOn(mayWrite: boolean): void;
}

/** What a predecessor is made with. */
export interface PredecessorOptions {
  /** The node. */
  readonly node: HandsOver;
  /** Descriptor of the lock of the database. */
  readonly lock: number;
  /** Of the program. */
  readonly version: string;
  /** Hears how it goes. */
  readonly log: Logger;
  /** What is borne; `PATIENCE` when left out. */
  readonly patience?: HandOverPatience;
}

/** How long the other process may take, milliseconds. */
export interface HandOverPatience {
  /** To say what it wants. */
  readonly helloMs: number;
  /** From then to the freeze: it has checked its settings before. */
  readonly freezeMs: number;
  /** From the freeze until it wants the sockets: it starts meanwhile. */
  readonly startMs: number;
  /** For each of the other steps, while packets wait. */
  readonly stepMs: number;
}

/** What is borne. */
export const PATIENCE: HandOverPatience = {
  helloMs: 3_000,
  freezeMs: 30_000,
  startMs: 60_000,
  stepMs: 5_000,
};

/** How it ended that another process came. */
export type Succession = "taken over" | "left";

/** One node's side of hand-overs, one at a time. */
export class Predecessor {
  /** Resolves when another process has taken over, or wants this one to end. */
  readonly succeeded: Promise<Succession>;
  readonly #options: PredecessorOptions;
  readonly #succeeded = Promise.withResolvers<Succession>();
  /** What is left to say at the very end. */
  readonly #farewell = Promise.withResolvers<LastState | null>();
  #isBusy = false;
  #successorPid: number | null = null;

  /** Waits for whoever comes. */
  constructor(options: PredecessorOptions) {
    this.#options = options;
    this.succeeded = this.#succeeded.promise;
  }

  /** The number of the process that has taken over, or wants this one to end; `null` = there is none yet. */
  get successorPid(): number | null {
    return this.#successorPid;
  }

  /** Ends the conversation with the process that has taken over; `null` = there is nothing to say. */
  farewell(last: LastState | null): void {
    this.#farewell.resolve(last);
  }

  /** Speaks with a process that has connected; never rejects. */
  async converse(conversation: Conversation): Promise<void> {
    const { log } = this.#options;
    const { pid } = conversation.peer;
    try {
      const succession = await this.#negotiate(conversation);
      if (succession === null) return;
      log.info(`Another process has ${succession === "left" ? "asked this one to end" : "taken over"}`, {
        pid,
      });
      this.#successorPid = pid;
      this.#succeeded.resolve(succession);
      const last = await this.#farewell.promise;
      if (last !== null && succession === "taken over") {
        await this.#answer(conversation, { answer: "farewell" }, { blob: encodeState(last) });
      }
    } catch (error) {
      log.warn("Spoke in vain with a process at the control socket", { pid, error });
    }
  }

  async #negotiate(conversation: Conversation): Promise<Succession | null> {
    const { node, version, log, patience = PATIENCE } = this.#options;
    const hello = await this.#hear(conversation, "hello", patience.helloMs);
    if (hello === null) return null;
    if (hello.ask !== "hello" || hello.pleiades !== PROTOCOL) {
      await this.#refuse(conversation, `this node speaks version ${PROTOCOL} of the protocol`);
      return null;
    }
    if (this.#isBusy) {
      await this.#refuse(conversation, "another process is taking over from this node");
      return null;
    }
    this.#isBusy = true;
    let succession: Succession | null = null;
    try {
      await this.#answer(conversation, { answer: "hello", pid: Deno.pid, version, whyNot: node.whyNot() });
      const next = await conversation.hear(patience.freezeMs);
      if (next === null) {
        log.info("A process that wanted to take over has ended before it did", {
          pid: conversation.peer.pid,
        });
        return null;
      }
      if (next.message.ask === "leave") {
        await this.#answer(conversation, { answer: "leaving" });
        succession = "left";
        return succession;
      }
      if (next.message.ask !== "freeze") throw new Error(refusalOf(next));
      succession = await this.#handOver(conversation);
      return succession;
    } finally {
      // Whoever comes when it is over is too late: the place is another's.
      this.#isBusy = succession !== null;
    }
  }

  async #handOver(conversation: Conversation): Promise<Succession | null> {
    const { node, lock, log, patience = PATIENCE } = this.#options;
    const { startMs, stepMs } = patience;
    let frozen: FrozenState;
    try {
      frozen = await node.freeze();
    } catch (error) {
      await this.#refuse(conversation, (error as Error).message);
      return null;
    }
    const begunMs = performance.now();
    try {
      await this.#answer(conversation, { answer: "frozen" }, { blob: encodeState(frozen) });
      await this.#expect(conversation, "sockets", startMs);
      const { state, sockets } = await node.release();
      await this.#answer(conversation, { answer: "sockets", udp: sockets.map(({ address }) => address) }, {
        blob: encodeState(state),
        descriptors: [lock, ...sockets.map(({ fd }) => fd)],
      });
      await this.#expect(conversation, "ready", stepMs);
      await this.#answer(conversation, { answer: "yours" });
      await this.#expect(conversation, "done", stepMs);
    } catch (error) {
      const isUnharmed = node.isUnharmed();
      node.goOn(isUnharmed);
      log.error("Not replaced: this process goes on", {
        reason: (error as Error).message,
        frozenMs: Math.round(performance.now() - begunMs),
      });
      if (!isUnharmed) {
        log.error(
          "The database was brought up to date for a newer program, which has ended: nothing is written any more. " +
            "Start the newer program with --replace",
        );
      }
      return null;
    }
    return "taken over";
  }

  async #expect(conversation: Conversation, ask: Ask["ask"], patienceMs: number): Promise<void> {
    const heard = await conversation.hear(patienceMs);
    if (heard === null) throw new Error("the other process has ended");
    if (heard.message.ask !== ask) throw new Error(refusalOf(heard));
  }

  async #hear(conversation: Conversation, _what: "hello", patienceMs: number): Promise<Ask | null> {
    return (await conversation.hear(patienceMs))?.message ?? null;
  }

  #refuse(conversation: Conversation, reason: string): Promise<void> {
    this.#options.log.info("A process that wants to take over was refused", {
      pid: conversation.peer.pid,
      reason,
    });
    return this.#answer(conversation, { answer: "refused", reason });
  }

  #answer(
    conversation: Conversation,
    answer: Answer,
    along: { readonly blob?: Uint8Array<ArrayBuffer>; readonly descriptors?: readonly number[] } = {},
  ): Promise<void> {
    const { stepMs: patienceMs } = this.#options.patience ?? PATIENCE;
    return conversation.answer(answer, { ...along, patienceMs });
  }
}

function refusalOf({ message }: Received<Ask>): string {
  return message.ask === "give-up"
    ? `the other process gave up: ${message.reason}`
    : `the other process asked for "${message.ask}" out of turn`;
}
