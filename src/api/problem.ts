/**
 * Errors as documents: every answer of 400 and above is an `application/problem+json` (RFC 9457).
 *
 * Handlers throw; `problemResponse` is the one place that turns what was thrown into bytes. An error that no handler
 * foresaw becomes a 500 that tells nothing about the inside and is logged instead.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { HTTPResponseError } from "hono/types";
import { HTTPException } from "hono/http-exception";
import { ChangeRefused, type Problem, type RefusalKind } from "../change/edit.ts";
import { GUARD_NAMES, type GuardName, type GuardRefusal } from "../change/guard.ts";
import { StoreBusy } from "../store/database.ts";
import { show, UNKNOWN_KEYS_MAX, UNKNOWN_KEYS_SEPARATOR } from "../input/strict_object.ts";

/** An answer of 400 or above, thrown by whoever finds the fault. */
export class ApiProblem extends Error {
  /** Tells it apart in logs. */
  override readonly name = "ApiProblem";
  /** Headers that belong to the status, such as `Allow` of a 405. */
  readonly headers: Readonly<Record<string, string>>;

  /**
   * Creates the problem.
   *
   * @param status 400–599
   * @param detail what failed, with the value and the fix
   */
  constructor(
    readonly status: ProblemStatus,
    readonly detail: string,
    readonly errors: readonly Problem[] = [],
    headers: Readonly<Record<string, string>> = {},
    readonly guards: readonly GuardRefusal[] = [],
  ) {
    super(detail);
    this.headers = headers;
  }
}

/** The statuses that this API gives to errors, with the titles of RFC 9110 §15. */
export const PROBLEM_TITLES = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  410: "Gone",
  412: "Precondition Failed",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
  429: "Too Many Requests",
  500: "Internal Server Error",
  503: "Service Unavailable",
} as const;

/** A status of `PROBLEM_TITLES`. */
export type ProblemStatus = keyof typeof PROBLEM_TITLES;

/** The media type of every error (RFC 9457 §3). */
export const PROBLEM_TYPE = "application/problem+json";

/** What an error's body says (RFC 9457 §3.1). */
export interface ProblemDocument {
  /** Always `about:blank`: the status says which kind it is. */
  type: string;
  /** The status in words. */
  title: string;
  /** 400–599, as the answer's own. */
  status: number;
  /** What failed, with the value and the fix. */
  detail: string;
  /** Path of the request. */
  instance: string;
  /** Every wrong field. */
  errors?: Problem[] | undefined;
  /** Why guards refuse the change. */
  guards?: { guard: GuardName; message: string; names: string[] }[] | undefined;
}

/** Why a guard refuses a change. */
export const GuardRefusalSchema: z.ZodType<{ guard: GuardName; message: string; names: string[] }> = z.object(
  {
    guard: z.enum(GUARD_NAMES).openapi({ description: "Which one" }),
    message: z.string().openapi({ description: "What the change would do, with its figure and the limit" }),
    names: z.array(z.string()).openapi({ description: "Some of what is hit" }),
  },
).openapi("GuardRefusal");

/** The document of every error. */
export const ProblemSchema: z.ZodType<ProblemDocument> = z.object({
  type: z.string().openapi({ description: "Always about:blank: the status says which kind it is" }),
  title: z.string().openapi({ description: "The status in words" }),
  status: z.int().min(400).max(599),
  detail: z.string().openapi({ description: "What failed, with the value and the fix" }),
  instance: z.string().openapi({ description: "Path of the request" }),
  errors: z.array(z.object({
    pointer: z.string().openapi({ description: "JSON pointer into the request's body; empty = the whole" }),
    message: z.string(),
  })).optional().openapi({ description: "Every wrong field, not just the first" }),
  guards: z.array(GuardRefusalSchema).optional().openapi({
    description: "Why guards refuse the change: `force=true` with a `reason` makes it all the same",
  }),
}).openapi("Problem");

/** The answer for something thrown; `unforeseen` is called for what no handler meant to throw. */
export function problemResponse(
  thrown: Error | HTTPResponseError,
  { instance, shown, unforeseen }: {
    readonly instance: string;
    /** Takes what is secret out of a text. */
    readonly shown: (text: string) => string;
    readonly unforeseen: (error: Error) => void;
  },
): Response {
  const problem = problemOf(thrown);
  if (problem.status === 500) unforeseen(thrown);
  const document: ProblemDocument = {
    ...problemDocument(problem, instance),
    ...(problem.errors.length > 0 && { errors: [...problem.errors] }),
    ...(problem.guards.length > 0 && {
      guards: problem.guards.map((refusal) => ({ ...refusal, names: [...refusal.names] })),
    }),
  };
  return new Response(shown(JSON.stringify(document)), {
    status: problem.status,
    headers: { ...problem.headers, "content-type": PROBLEM_TYPE },
  });
}

/** What every error's document has. */
export function problemDocument(
  { status, detail }: Pick<ApiProblem, "status" | "detail">,
  instance: string,
): ProblemDocument {
  return { type: "about:blank", title: PROBLEM_TITLES[status], status, detail, instance };
}

/** The problem for values that a schema refused: all of them at once. */
export function invalidFields(issues: readonly z.core.$ZodIssue[]): ApiProblem {
  const errors = problemsOf(issues);
  return new ApiProblem(400, summary(errors), errors);
}

/** Ends a request for something that isn't there. */
export function notFound(kind: string, id: string): never {
  throw new ApiProblem(404, `No ${kind} has the id ${show(id)}`);
}

/** The problem for parameters of the URL or headers, which no pointer can name; their messages do. */
export function invalidParameters(issues: readonly z.core.$ZodIssue[]): ApiProblem {
  const errors = problemsOf(issues).map(({ message }) => ({
    pointer: "",
    message: message.replace(/^Unknown key/, "Unknown parameter"),
  }));
  return new ApiProblem(400, summary(errors), errors);
}

const STATUS_OF_REFUSAL: Record<RefusalKind, ProblemStatus> = {
  "invalid": 400,
  "not-found": 404,
  "gone": 410,
  "duplicate": 409,
  "stale": 412,
  "missing-reference": 422,
  "guarded": 409,
  "unavailable": 503,
};

function problemOf(thrown: Error | HTTPResponseError): ApiProblem {
  if (thrown instanceof ApiProblem) return thrown;
  if (thrown instanceof ChangeRefused) {
    const { kind, problems, guards } = thrown;
    return new ApiProblem(STATUS_OF_REFUSAL[kind], summary(problems), problems, {}, guards);
  }
  if (thrown instanceof StoreBusy) return new ApiProblem(503, thrown.message, [], { "retry-after": "1" });
  if (thrown instanceof HTTPException && isProblemStatus(thrown.status)) {
    return new ApiProblem(thrown.status, thrown.message);
  }
  return new ApiProblem(500, "The request failed inside Pleiades; its log says why");
}

function isProblemStatus(status: number): status is ProblemStatus {
  return status in PROBLEM_TITLES;
}

/** Problems that a body's errors name: no reader wants more. */
const PROBLEMS_MAX = 100;

/** The problems of all issues, and how many more there are where there are very many. */
function problemsOf(issues: readonly z.core.$ZodIssue[]): Problem[] {
  const problems: Problem[] = [];
  let count = 0;
  for (const issue of issues) {
    count += issue.code === "unrecognized_keys" ? issue.keys.length : 1;
    if (problems.length < PROBLEMS_MAX) problems.push(...problemsOfIssue(issue));
  }
  const shown = problems.slice(0, PROBLEMS_MAX);
  if (count === shown.length) return shown;
  return [...shown, { pointer: "", message: `and ${count - shown.length} more problems (fix these first)` }];
}

/** One issue may name several unknown keys; each gets a pointer of its own. */
function problemsOfIssue(issue: z.core.$ZodIssue): Problem[] {
  if (issue.code !== "unrecognized_keys") return [{ pointer: pointerOf(issue.path), message: issue.message }];
  const keys = issue.keys.slice(0, UNKNOWN_KEYS_MAX);
  const sentences = issue.message.split(UNKNOWN_KEYS_SEPARATOR);
  return keys.map((key, i) => ({
    pointer: pointerOf([...issue.path, key]),
    message: sentences.length === keys.length ? sentences[i]! : `Unknown key ${show(key)}`,
  }));
}

/** A path as a JSON pointer (RFC 6901 §3). */
function pointerOf(path: readonly PropertyKey[]): string {
  return path.map((step) => `/${String(step).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

function summary(problems: readonly Problem[]): string {
  const [first, ...rest] = problems;
  if (!first) return "The request is not valid";
  if (rest.length === 0) return first.message;
  return rest.length >= PROBLEMS_MAX
    ? `${first.message}; and very many more`
    : `${first.message}; and ${rest.length} more`;
}
