/**
 * Finds the declaration that a request's path belongs to, for what must be known before Hono has chosen a handler:
 * which methods a path has, which media types a body may have, and under which name a request is counted.
 *
 * @module
 */
import type { Route } from "./route.ts";

/** All declared routes by path. */
export class RouteTable {
  readonly #paths: readonly DeclaredPath[];
  /** What was looked for last: of a request several want to know it. */
  #last: { readonly path: string; readonly methods: ReadonlyMap<string, Route> | undefined } | null = null;

  /** Routes of one path may stand anywhere in the list. */
  constructor(routes: readonly Route[]) {
    const paths = new Map<string, Map<string, Route>>();
    for (const route of routes) {
      const methods = paths.get(route.path) ?? new Map<string, Route>();
      paths.set(route.path, methods.set(route.method.toUpperCase(), route));
    }
    this.#paths = [...paths].map(([pattern, methods]) => ({ matcher: matcherOf(pattern), methods }));
  }

  /** The declaration for a request; `HEAD` is a `GET`. */
  find(method: string, path: string): Route | undefined {
    return this.#methods(path)?.get(method === "HEAD" ? "GET" : method);
  }

  /** The methods that a path has, for `Allow` (RFC 9110 §10.2.1); empty = no route has this path. */
  methods(path: string): string[] {
    const methods = [...this.#methods(path)?.keys() ?? []];
    return (methods.includes("GET") ? [...methods, "HEAD"] : methods).sort();
  }

  /** The routes of a path, whatever their methods. */
  at(path: string): readonly Route[] {
    return [...this.#methods(path)?.values() ?? []];
  }

  #methods(path: string): ReadonlyMap<string, Route> | undefined {
    if (this.#last?.path !== path) {
      this.#last = { path, methods: this.#paths.find(({ matcher }) => matcher.test(path))?.methods };
    }
    return this.#last.methods;
  }
}

interface DeclaredPath {
  readonly matcher: RegExp;
  readonly methods: ReadonlyMap<string, Route>;
}

/** `/pools/{id}` → `^/pools/[^/]+$`; the fixed parts are letters, digits, `/`, `-` and `.`. */
function matcherOf(pattern: string): RegExp {
  return new RegExp(`^${pattern.replaceAll(".", "\\.").replace(/\{[^}]+\}/g, "[^/]+")}$`);
}
