/**
 * The entry of the thread of Git: fetches, judges and reads, so that probes and requests never wait for that.
 *
 * It lives as long as one repository is followed, since it remembers what it has parsed.
 *
 * @module
 */
import { type GitWork, RepositoryWork } from "./git_work.ts";
import { openRepository } from "./remote_repository.ts";
import { RepositoryError } from "./repository.ts";
import type { Answers, Call, FromThread, ToThread } from "./thread_messages.ts";

/** The worker's global scope, as far as it is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<ToThread>) => void) | null;
  postMessage(message: FromThread): void;
  close(): void;
}

const scope = globalThis as unknown as WorkerScope;

let work: GitWork | null = null;
let fetching: AbortController | null = null;
let lines: ReadableStreamDefaultReader<Uint8Array> | null = null;

scope.onmessage = ({ data }) => {
  if ("abort" in data) fetching?.abort(new DOMException("The fetch was given up", "AbortError"));
  else void answer(data.number, data.call);
};

async function answer(number: number, call: Call): Promise<void> {
  try {
    scope.postMessage({ number, answer: await carryOut(call) });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const fault = error instanceof RepositoryError ? error.reason : null;
    scope.postMessage({ number, failure: { message, fault } });
  }
  if (call.kind === "close") scope.close();
}

async function carryOut(call: Call): Promise<Answers[keyof Answers]> {
  switch (call.kind) {
    case "open":
      work = new RepositoryWork(openRepository(call.options), () => new Date());
      return null;
    case "fetch":
      fetching = new AbortController();
      return await work!.fetch(call.known, fetching.signal);
    case "descends":
      return await work!.descends(call.commit, call.ancestor);
    case "look":
      return await work!.look(call.commit, call.terms);
    case "read": {
      await lines?.cancel();
      lines = null;
      const read = await work!.read(call.commit, call.prefix);
      if (read.kind === "invalid") return read.problems;
      lines = read.lines.getReader();
      return [];
    }
    case "next": {
      const next = await lines?.read();
      return next?.value ?? null;
    }
    case "close":
      fetching?.abort(new DOMException("The repository is given up", "AbortError"));
      await work?.[Symbol.asyncDispose]();
      return null;
  }
}
