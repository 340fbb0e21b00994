/**
 * The thread of the terminal UI's database: answers questions, and tells what others change in the file.
 *
 * @module
 */
import { systemClock } from "../clock.ts";
import type { PortableGuard } from "../plan/answer_guard.ts";
import type { FromStore, Opening, ToStore } from "./messages.ts";
import { FileUnusable, StoreDesk } from "./store_desk.ts";

/** Half of the second within which others' writes are to be seen. */
const LOOK_MS = 500;
/** The first screen has asked by then. */
const SETTINGS_AFTER_MS = 50;

/** The worker's global scope, as far as it is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<ToStore>) => void) | null;
  postMessage(message: FromStore): void;
}

const scope = self as unknown as WorkerScope;
const send = (message: FromStore) => scope.postMessage(message);

let desk: StoreDesk | null = null;
/** Whether the last look found the file unusable. */
let isFaulty = false;

scope.onmessage = ({ data }: MessageEvent<ToStore>) => {
  if (data.kind === "open") {
    try {
      desk = new StoreDesk(data.opening, systemClock);
      send({ kind: "opened", isNew: desk.isNew, generation: desk.generation });
      desk.guardBy(guardLater(data.opening));
      setTimeout(look, LOOK_MS);
    } catch (error) {
      tellFault(error);
    }
  } else {
    const { number, question } = data;
    const onWait = () => send({ kind: "waiting" });
    desk?.answer(question, onWait).then((answer) => send({ kind: "answer", number, answer }));
  }
};

/** The settings, and what changes go through, take longer to load than a list does: the first screen has its rows before. */
async function guardLater({ settings }: Opening): Promise<PortableGuard | null> {
  await new Promise((resolve) => setTimeout(resolve, SETTINGS_AFTER_MS));
  const { guardSettings } = await import("./guard_settings.ts");
  await import("./change_desk.ts");
  return guardSettings(settings);
}

function look(): void {
  const here = desk!;
  try {
    const change = here.look();
    if (change !== null || isFaulty) {
      isFaulty = false;
      send({ kind: "changed", generation: here.generation, isReplaced: change?.isReplaced ?? false });
    }
  } catch (error) {
    if (!isFaulty) tellFault(error);
    isFaulty = true;
  }
  setTimeout(look, LOOK_MS);
}

function tellFault(error: unknown): void {
  if (!(error instanceof FileUnusable)) throw error;
  send({ kind: "fault", message: error.message, isFinal: error.isFinal });
}
