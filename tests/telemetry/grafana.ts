/**
 * What `grafana/` asks of a node.
 *
 * @module
 */

/** A panel's, variable's or annotation's question to Prometheus. */
export interface Question {
  readonly where: string;
  readonly expr: string;
}

const FOLDER = new URL("../../grafana/", import.meta.url);

/** The dashboard, parsed. */
export async function readDashboard(): Promise<Dashboard> {
  return JSON.parse(await Deno.readTextFile(new URL("pleiades.json", FOLDER)));
}

/** The alert rules' text. */
export async function readRules(): Promise<string> {
  return await Deno.readTextFile(new URL("pleiades.rules.yml", FOLDER));
}

/**
 * The names of all metrics that dashboard and alerts use, sorted: those that a node must expose, and behind `balancer` those
 * of a balancer. Histograms are named as families, without `_bucket`, `_sum` and `_count`.
 */
export async function grafanaMetricNames(of: "node" | "balancer" = "node"): Promise<string[]> {
  const exprs = questionsOf(await readDashboard()).map(({ expr }) => expr);
  const rules = (await readRules()).split("\n").filter((line) => !/^\s*(#|summary:|description:)/.test(line));
  const names = [...exprs, ...rules].join("\n").match(/\bpleiades_[a-z0-9_]+/g) ?? [];
  const ofBalancer = (name: string) => name.startsWith("pleiades_balancer_");
  return [...new Set(names.map((name) => name.replace(/_(bucket|sum|count)$/, "")))]
    .filter((name) => ofBalancer(name) === (of === "balancer")).sort();
}

/** Every expression of the dashboard, its variables filled in as Grafana would. */
export function questionsOf(dashboard: Dashboard): Question[] {
  const panels = dashboard.panels.flatMap(({ title, targets }) =>
    (targets ?? []).map(({ expr }) => ({ where: title, expr }))
  );
  const annotations = dashboard.annotations.list.flatMap(({ name, expr }) =>
    expr ? [{ where: name, expr }] : []
  );
  return [...panels, ...annotations].map(({ where, expr }) => ({
    where,
    expr: expr.replaceAll("$__rate_interval", "1m").replaceAll(/"\$(cluster|node)"/g, '".*"'),
  }));
}

/** As much of Grafana's schema as the tests look at. */
export interface Dashboard {
  readonly title: string;
  readonly uid: string;
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] };
  readonly annotations: { readonly list: readonly { readonly name: string; readonly expr?: string }[] };
  readonly panels: readonly Panel[];
}

/** One panel. */
export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string; readonly refId: string }[];
}
