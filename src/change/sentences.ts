/**
 * What is said of objects that don't agree: the same of a whole model and of a single edit.
 *
 * @module
 */

/** A reference leads nowhere. @param pool name or id, @param fix what would be right */
export function poolMissing(pool: string, fix: string): string {
  return `pool "${pool}" doesn't exist (${fix})`;
}

/** Pools that answer for each other. @param names in their order, the first one also last */
export function fallbackCircle(names: readonly string[]): string {
  return `pools fall back to each other in a circle: ${names.join(" → ")} ` +
    `(let one of them have another onAllDown)`;
}

/** A service that is answered by its own name: that would be asked of this node, which would ask itself. */
export function ownName({ domain, pool }: { readonly domain: string; readonly pool: string }): string {
  return `service "${domain}" is answered by pool "${pool}", which has this very name as a member ` +
    `(name the host that is behind it, or another pool)`;
}

/** A service strictly below a zone cut, where other servers are asked. */
export function belowCut({ domain, cut }: { readonly domain: string; readonly cut: string }): string {
  return `service "${domain}" is below "${cut}", which NS records delegate to other servers ` +
    `(serve the zone "${cut}" here too, or delete the delegation)`;
}
