/**
 * Sends a model to a node, with a line that says how far it is, and names problems after the file they are in.
 *
 * @module
 */
import { ApiRefusal } from "./api_refusal.ts";
import { ApiClient, type ClientOptions, type JsonObject } from "./client.ts";
import type { ModelProblems, ModelUpload } from "./model_upload.ts";
import { Progress } from "./progress.ts";
import type { Terminal } from "./terminal.ts";

/** Where a model goes, and what is said meanwhile. */
export interface Sending {
  /** Path and query behind `/api/v1`. */
  readonly to: string;
  /** The generation that it is meant for: the node takes it over no other. */
  readonly onGeneration?: number | undefined;
  /** What the user called the model. */
  readonly path: string;
  /** What the node does when it has all of it: `committing…`. */
  readonly waiting: string;
  /** What Ctrl-C leaves behind. */
  readonly interrupted: string;
}

/** The client for calls that take a while: a million services on a busy machine take minutes. */
export function patientClient(options: ClientOptions, terminal: Terminal): ApiClient {
  return new ApiClient(options, terminal, { timeoutMs: 900_000 });
}

/**
 * Sends a model and gives what the node made of it, or what it found wrong with the lines of a file.
 *
 * @throws {CommandFailed} when the API refuses it for another reason
 */
export async function sendModel(
  model: ModelUpload,
  { to, onGeneration, path, waiting, interrupted }: Sending,
  { api, terminal }: { readonly api: ApiClient; readonly terminal: Terminal },
): Promise<{ readonly answer: JsonObject } | ModelProblems> {
  using progress = new Progress(terminal, model);
  using _ = interruptible(progress, () => terminal.err(interrupted));
  try {
    const answer = await api.send("POST", to, {
      text: ReadableStream.from(encoded(model, () => progress.wait(waiting), progress)),
      contentType: "application/x-ndjson",
      ifMatch: onGeneration === undefined ? null : `"${onGeneration}"`,
    });
    return { answer: answer ?? {} };
  } catch (error) {
    if (!(model.asInFile && error instanceof ApiRefusal && error.message.startsWith("body:"))) throw error;
    return { problems: error.message.split("\n").map((line) => line.replace(/^body:/, `${path}:`)) };
  }
}

async function* encoded(
  { blocks }: ModelUpload,
  whenSent: () => void,
  progress: Progress,
): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  for await (const block of blocks) {
    const bytes = encoder.encode(block);
    yield bytes;
    progress.sent({ bytes: bytes.length, lines: block.split("\n").length - 1 });
  }
  whenSent();
}

/** Ctrl-C ends the program and, with the connection, what the node was doing for it. */
function interruptible(progress: Progress, say: () => void): Disposable {
  const end = () => {
    progress[Symbol.dispose]();
    say();
    Deno.exit(130);
  };
  Deno.addSignalListener("SIGINT", end);
  return { [Symbol.dispose]: () => Deno.removeSignalListener("SIGINT", end) };
}
