/**
 * What keys do in the tabs: pools, services, history and the site.
 *
 * @module
 */
import type { Command } from "../keys.ts";
import { marked, movedTo } from "../list.ts";
import { linesOfSite, listHeight, type OpenPool, type State } from "../state.ts";
import { ask, deleting, missing, moved, over, read, type Step, undoing } from "../steps.ts";
import { createPoolForm, drainForm, explainForm, renamePoolForm, serviceForm } from "./forms.ts";

/** In the list of pools. */
export function onPoolsKey(state: State, command: Command): Step {
  const { pools } = state;
  const height = listHeight(state);
  const cursor = moved(pools.cursor, command, { count: pools.total, height });
  if (cursor !== null) return [{ ...state, pools: movedTo(pools, cursor, height) }, []];
  if (command === "filter") return [{ ...state, isFiltering: true }, []];
  if (command === "create") return [over(state, { kind: "form", form: createPoolForm() }), []];
  const pool = marked(pools);
  if (pool === null) return [missing(state, "There is no pool here: c creates one"), []];
  switch (command) {
    case "open": {
      const atTop = { members: 0, check: 0, rules: 0 };
      const opened: OpenPool = {
        ...{ id: pool.id, name: pool.name, part: "members", detail: null, cursors: atTop, tops: atTop },
      };
      return ask([{ ...state, pool: opened, notice: null }, []], { kind: "pool", id: pool.id });
    }
    case "rename":
      return [over(state, { kind: "form", form: renamePoolForm(pool) }), []];
    case "settings":
      return ask([over(state, { kind: "loading", form: "settings", id: pool.id }), []], {
        kind: "pool",
        id: pool.id,
      });
    case "drain":
      return [over(state, { kind: "form", form: drainForm(`pool:${pool.id}`, `pool ${pool.name}`) }), []];
    case "delete":
      return deleting(state, "pool", { ...pool, called: `pool ${pool.name}` });
    default:
      return [state, []];
  }
}

/** In the list of services. */
export function onServicesKey(state: State, command: Command): Step {
  const { services } = state;
  const height = listHeight(state);
  const cursor = moved(services.cursor, command, { count: services.total, height });
  if (cursor !== null) return [{ ...state, services: movedTo(services, cursor, height) }, []];
  if (command === "filter") return [{ ...state, isFiltering: true }, []];
  if (command === "create") return [over(state, { kind: "form", form: serviceForm(null) }), []];
  const service = marked(services);
  if (command === "explain") return explaining(state, service?.domain ?? "");
  if (service === null) return [missing(state, "There is no service here: c creates one"), []];
  switch (command) {
    case "open":
    case "assign": {
      const { id } = service;
      const form = command === "open" ? "service" : "assign";
      return ask([over(state, { kind: "loading", form, id }), []], { kind: "service", id });
    }
    case "drain":
      if (service.poolId === null) {
        return [missing(state, `${service.domain} has no pool to drain: p gives it one`), []];
      }
      return [
        over(state, { kind: "form", form: drainForm(`pool:${service.poolId}`, `pool ${service.pool}`) }),
        [],
      ];
    case "delete":
      return deleting(state, "service", { ...service, called: `service ${service.domain}` });
    default:
      return [state, []];
  }
}

/** In the list of commits. */
export function onHistoryKey(state: State, command: Command): Step {
  const { history } = state;
  const height = listHeight(state);
  const cursor = moved(history.cursor, command, { count: history.total, height });
  if (cursor !== null) return [{ ...state, history: movedTo(history, cursor, height) }, []];
  if (command === "filter") return [{ ...state, isFiltering: true }, []];
  const entry = marked(history);
  if (entry === null) return [missing(state, "There is no change here yet"), []];
  const { generation } = entry;
  switch (command) {
    case "open": {
      const loading = over(state, { kind: "loading", form: "generation", id: String(generation) });
      return ask([loading, []], { kind: "generation", generation });
    }
    case "undo":
      return undoing(state, generation);
    default:
      return [state, []];
  }
}

/** In the site. */
export function onSiteKey(state: State, command: Command): Step {
  if (command === "explain") return explaining(state, "");
  const top = read(state.siteTop, command, { count: linesOfSite(state).length, height: listHeight(state) });
  return [top === null ? state : { ...state, siteTop: top }, []];
}

function explaining(state: State, domain: string): Step {
  if (state.server.state === "connected") {
    return [over(state, { kind: "form", form: explainForm(domain) }), []];
  }
  return [
    missing(
      state,
      `An answer is explained by a running node: ${state.server.message || "none is connected yet"}`,
    ),
    [],
  ];
}
