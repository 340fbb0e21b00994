/**
 * The process that comes, as it takes over from the one that is there (`conversation.ts` has the order).
 *
 * @module
 */
import type { SocketAddress } from "../ip.ts";
import { closeDescriptors } from "../sockets/local_socket.ts";
import { type Answer, type Ask, type Conversation, PROTOCOL, type Received } from "./conversation.ts";
import {
  type FrozenState,
  type LastState,
  readFrozen,
  readLast,
  readReleased,
  type ReleasedState,
} from "./state.ts";

/** How long the other process may take for a step, milliseconds; it may have to wait for an apply before it freezes. */
const STEP_MS = 5_000;
const FREEZE_MS = 90_000;
/** It may have taken the place of another one just now, which is to end first. */
const GREETING_MS = 30_000;
/** From the end of the hand-over until its last connection has ended. */
const FAREWELL_MS = 60_000;

/** The process that is there can't be, or doesn't want to be, replaced. */
export class NotReplaced extends Error {}

/** What comes with the sockets. */
export interface Released {
  /** What the predecessor knew last. */
  readonly state: ReleasedState;
  /** Descriptor of the lock of the database. */
  readonly lock: number;
  /** Bound UDP sockets. */
  readonly sockets: readonly { readonly address: SocketAddress; readonly fd: number }[];
}

/** One process's side of one hand-over. Disposing before `done` leaves the other process as it was. */
export class Successor implements AsyncDisposable {
  readonly #conversation: Conversation;

  /** Takes over a connection to the control socket. */
  constructor(conversation: Conversation) {
    this.#conversation = conversation;
  }

  /**
   * Says what is wanted.
   *
   * @returns who is there, and why it can hand nothing over; `null` = it can
   * @throws {NotReplaced} when it doesn't want to
   */
  async greet(
    version: string,
  ): Promise<{ readonly pid: number; readonly version: string; readonly whyNot: string | null }> {
    return (await this.#ask({ ask: "hello", pleiades: PROTOCOL, version }, "hello", GREETING_MS)).message;
  }

  /** Has it write nothing more into the database. @throws {NotReplaced} */
  async freeze(): Promise<FrozenState> {
    return readFrozen((await this.#ask({ ask: "freeze" }, "frozen", FREEZE_MS)).blob);
  }

  /** Has it receive no more UDP, and gives its sockets. @throws {NotReplaced} */
  async sockets(): Promise<Released> {
    const { message, blob, descriptors } = await this.#ask({ ask: "sockets" }, "sockets", STEP_MS);
    const [lock, ...fds] = descriptors;
    if (lock === undefined || fds.length !== message.udp.length) {
      closeDescriptors(descriptors);
      throw new NotReplaced(`${message.udp.length} sockets were announced, and ${fds.length} came`);
    }
    const sockets = message.udp.map((address, i) => ({ address, fd: fds[i]! }));
    return { state: readReleased(blob), lock, sockets };
  }

  /** Says that this process answers. From then on the other one only waits for the end. @throws {NotReplaced} */
  async ready(): Promise<void> {
    await this.#ask({ ask: "ready" }, "yours", STEP_MS);
  }

  /**
   * Says that all is done; resolves when the other process has ended its connections.
   *
   * @returns what it had counted by then; `null` = it doesn't say
   */
  async done(): Promise<LastState | null> {
    try {
      return readLast((await this.#ask({ ask: "done" }, "farewell", FAREWELL_MS)).blob);
    } catch {
      return null; // all that counts is here already
    }
  }

  /** Has a process end that can hand nothing over; resolves when it has ended. */
  async dismiss(): Promise<void> {
    await this.#ask({ ask: "leave" }, "leaving", STEP_MS);
    await this.#conversation.hear(FAREWELL_MS).catch(() => {});
  }

  /** Says why this process can't take over. */
  async giveUp(reason: string): Promise<void> {
    await this.#conversation.ask({ ask: "give-up", reason: reason.slice(0, 4000) }, STEP_MS).catch(() => {});
  }

  /** Ends the conversation. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#conversation[Symbol.asyncDispose]();
  }

  async #ask<Kind extends Answer["answer"]>(
    ask: Ask,
    kind: Kind,
    patienceMs: number,
  ): Promise<Received<Extract<Answer, { readonly answer: Kind }>>> {
    const received = await this.#conversation.ask(ask, patienceMs);
    if (received === null) throw new NotReplaced("The process that is there has ended the conversation");
    const { message } = received;
    if (message.answer === "refused") throw new NotReplaced(message.reason);
    if (message.answer !== kind) throw new NotReplaced(`It answered "${message.answer}" to "${ask.ask}"`);
    return received as Received<Extract<Answer, { readonly answer: Kind }>>;
  }
}
