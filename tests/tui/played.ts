/**
 * The pure part of the terminal UI, played against a real database, without a terminal: keys in, states out.
 *
 * @module
 */
import type { StoreDesk } from "../../src/tui/store_desk.ts";
import { type Event, update } from "../../src/tui/model.ts";
import { initialState, type State } from "../../src/tui/state.ts";

/** Opens the database, as far as the screen is concerned. */
export async function opened(desk: StoreDesk, size: State["size"]): Promise<State> {
  const state = initialState({ path: "/var/lib/pleiades/pleiades.db", url: "http://127.0.0.1:8080", size });
  const message = { kind: "opened", isNew: false, generation: desk.generation } as const;
  return await happen(desk, state, { kind: "store", message });
}

/** Types keys, by their names, or texts of more than one character where a text is meant (`"www`). */
export async function play(desk: StoreDesk, state: State, ...keys: readonly string[]): Promise<State> {
  for (const key of keys) {
    const typed: Event = key.length > 1 && key.startsWith('"')
      ? { kind: "paste", text: key.slice(1) }
      : { kind: "key", key };
    state = await happen(desk, state, typed);
  }
  return state;
}

/** Does what an event asks of the database, until nothing is asked any more. */
export async function happen(desk: StoreDesk, before: State, event: Event): Promise<State> {
  let [state, effects] = update(before, event);
  while (effects.length > 0) {
    const asked = effects.filter((effect) => effect.kind === "ask");
    effects = [];
    for (const { number, question } of asked) {
      const answer = await desk.answer(question);
      const [next, more] = update(state, { kind: "store", message: { kind: "answer", number, answer } });
      state = next;
      effects = [...effects, ...more];
    }
  }
  return state;
}
