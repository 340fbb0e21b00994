/**
 * What is explained is what is answered: `deno task prove explain [STATES]`.
 *
 * Over so many random states (10,000), each with two questions: the explained answer, and then what the production engine
 * says to the same packet, must be the same bytes; and explaining must move neither a counter nor a turn. Then how
 * long explaining takes among 10,000 pools of 10 members with overrides, and what a decision costs among 10 pools and
 * among 10,000.
 *
 * @module
 */
import { type RandomState, RandomStates } from "../explain/random_state.ts";
import { LANE_SIZE, LANES } from "../../src/snapshot/live.ts";
import { measureScale, printScale } from "./explain/scale.ts";

const QUESTIONS = 2;
/** Longest time that `explain` may take, ms. */
const EXPLAIN_MS_MAX = 10;
/** What a decision among 10,000 pools may cost of one among 10: its data isn't in the nearest cache any more. */
const COST_RATIO_MAX = 4;

/** Runs the proof. */
export function prove([states = "10000"]: string[]): Promise<boolean> {
  const { faults, answers } = compareStates({ first: 1, count: Number(states) });
  console.log(`states             ${states}, ${answers} answers compared`);
  console.log(`answers that differ ${faults.length}`);
  for (const fault of faults.slice(0, 10)) console.log(`  ${fault}`);
  const scale = measureScale();
  printScale(scale);
  return Promise.resolve(
    faults.length === 0 && scale.explainMsP99 < EXPLAIN_MS_MAX && scale.ratio < COST_RATIO_MAX,
  );
}

/** Compares what is explained with what is answered; a line for each difference. */
export function compareStates(
  { first, count }: { readonly first: number; readonly count: number },
): { readonly faults: string[]; readonly answers: number } {
  const states = new RandomStates();
  const faults: string[] = [];
  for (let seed = first; seed < first + count; seed++) {
    const state = states.of(seed);
    for (let i = 0; i < QUESTIONS; i++) {
      const fault = faultIn(state);
      if (fault !== null) faults.push(`seed ${seed}: ${fault}`);
    }
  }
  return { faults, answers: count * QUESTIONS };
}

const out = new Uint8Array(65_535);

function faultIn({ engine, explainer, board, question }: RandomState): string | null {
  const asked = question();
  const before = [board.tickets.slice(0, 64), lanesOf(board)];
  const { answer, question: { wire, name, type }, candidates, rotation } = explainer.explain(asked);
  const what = `${name} ${type}`;
  const after = [board.tickets.slice(0, 64), lanesOf(board)];
  if (before.some((words, i) => !same(words, after[i]!))) {
    return `${what}: explaining left a trace on the board`;
  }
  const packet = Uint8Array.fromHex(wire);
  const client = { stream: false, address: () => asked.client };
  const size = engine.answer(packet, packet.length, client, out, out.length);
  const answered = out.subarray(0, size).toHex();
  if (answered !== answer.wire) return `${what}: explained ${answer.wire}, answered ${answered}`;
  const wrong = candidates.find(({ rank, address }) =>
    rank !== null && address !== answer.records.filter(isAddress)[rank - 1]?.data
  );
  if (wrong && !answer.truncated) return `${what}: ${wrong.member} isn't number ${wrong.rank} of the answer`;
  const lost = candidates.find(({ reason }) => reason.includes("a moment ago"));
  if (lost) return `${what}: ${lost.member} of ${lost.pool} isn't found again`;
  const kept = new Set(candidates.filter(({ outcome }) => outcome === "kept").map(({ address }) => address));
  const stray = rotation?.next.find((address) => !kept.has(address));
  if (stray !== undefined) return `${what}: ${stray} is answered soon, but told to be dropped`;
  const told = candidates.filter(({ rank }) => rank !== null).length;
  const steered = candidates.length === 0 ? 0 : answer.records.filter(isAddress).length;
  return told === steered || answer.truncated
    ? null
    : `${what}: ${steered} are answered, ${told} are told of`;
}

function isAddress({ type }: { readonly type: string }): boolean {
  return type === "A" || type === "AAAA";
}

function lanesOf(board: RandomState["board"]): Uint32Array {
  const lanes = new Uint32Array(LANES * LANE_SIZE);
  for (let lane = 0; lane < LANES; lane++) lanes.set(board.lane(lane), lane * LANE_SIZE);
  return lanes;
}

function same(a: Uint32Array, b: Uint32Array): boolean {
  return a.every((word, i) => word === b[i]);
}
