/**
 * The terminal UI with something in it that fails as soon as `!` is typed: `failing.ts render|effect|key|rejection|callback DB`. Run
 * by a test, as `main.ts` runs the real one.
 *
 * @module
 */
import { createElement, type ReactElement, useLayoutEffect } from "react";
import { renderToString } from "ink";
import { run } from "../../main.ts";
import { systemTerminal } from "../../src/cli/terminal.ts";
import { update } from "../../src/tui/model.ts";
import { initialState, type State } from "../../src/tui/state.ts";
import { tui, type TuiParts } from "../../src/tui/tui.ts";
import { frameOf } from "../../src/tui/view/frame.tsx";

const [what, db = ""] = Deno.args;
const fail = (): never => {
  throw new Error(`failed in ${what}`);
};

function Failing({ inEffect }: { readonly inEffect: boolean }): ReactElement | null {
  useLayoutEffect(() => {
    if (inEffect) fail();
  });
  return inEffect ? null : fail();
}

let isOn = false;
const parts: Partial<TuiParts> = {
  update: (state: State, event) => {
    if (event.kind !== "key" || event.key !== "!") return update(state, event);
    isOn = true;
    if (what === "key") fail();
    if (what === "rejection") void Promise.reject(new Error("failed in rejection"));
    if (what === "callback") queueMicrotask(fail);
    // Anything else, so that a frame is drawn.
    return [{ ...initialState({ path: db, url: "", size: state.size }) }, []];
  },
  frameOf: (state, options) => {
    if (!isOn || (what !== "render" && what !== "effect")) return frameOf(state, options);
    return [renderToString(createElement(Failing, { inEffect: what === "effect" }))];
  },
};

const register: Parameters<typeof run>[2] = [["", ["failing"], () =>
  Promise.resolve({
    register: (root, { done }) => {
      root.command("failing").action(async () => done(await tui({ db }, systemTerminal, parts)));
    },
  })]];

if (import.meta.main) Deno.exit(await run(["failing"], systemTerminal, register));
