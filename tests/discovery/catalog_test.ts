/**
 * The order of an address's instances, however they come and go, and what is kept of those that change.
 *
 * @module
 */
import { deepEqual, equal } from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { Catalog, type Change, type Instance, portionsOf } from "../../src/discovery/catalog.ts";

const ADDRESS = { service: "http", job: "web", env: "prod", product: "shop", zone: "gg" };

Deno.test("what is at an address is in the order of the ids after each change, asked for in between or not", () => {
  const draw = seededRng(1);
  for (let round = 0; round < 200; round++) {
    const catalog = new Catalog();
    const all = new Map<string, Instance>();
    for (let step = 0; step < 40; step++) {
      const ids = Array.from({ length: 1 + draw() % 6 }, () => `i${draw() % 20}`);
      if (draw() % 3 === 0) {
        catalog.apply({ kind: "remove", zone: "gg", ids });
        for (const id of ids) all.delete(id);
      } else {
        const instances = ids.map((id): Instance => ({
          ...{ id, provider: "p", address: ADDRESS, node: "h", ips: ["192.0.2.1"] },
          ...{ port: 1 + draw() % 60_000, priority: 0, weight: 0 },
        }));
        catalog.apply({ kind: "put", zone: "gg", instances });
        for (const instance of instances) all.set(instance.id, instance);
      }
      if (draw() % 2 === 0) continue;
      const wanted = [...all.values()].sort((a, b) => a.id < b.id ? -1 : 1);
      deepEqual(catalog.at(ADDRESS)?.instances ?? [], wanted, `round ${round}, step ${step}`);
    }
  }
});

Deno.test("portions are whole changes where these are small, and in their order", () => {
  const ids = (from: number, count: number) => Array.from({ length: count }, (_, i) => `i${from + i}`);
  const remove = (from: number, count: number): Change => ({
    kind: "remove",
    zone: "gg",
    ids: ids(from, count),
  });
  const fresh: Change = { kind: "standing", zone: "gg", standing: "fresh" };
  deepEqual([...portionsOf([])], []);
  deepEqual([...portionsOf([fresh, remove(0, 1), remove(1, 2)])], [[fresh, remove(0, 1), remove(1, 2)]]);
  deepEqual([...portionsOf([remove(0, 200), remove(200, 310), fresh])], [
    [remove(0, 200), remove(200, 50)],
    [remove(250, 250)],
    [remove(500, 10), fresh],
  ]);
});

Deno.test("what an instance has in common with the one before stays the same object", () => {
  const catalog = new Catalog();
  const put = (instance: Partial<Instance>) => {
    const whole: Instance = {
      ...{ id: "i", provider: "p", address: { ...ADDRESS }, node: "h", ips: ["192.0.2.1", "192.0.2.2"] },
      ...{ port: 1, priority: 0, weight: 0, ...instance },
    };
    catalog.apply({ kind: "put", zone: "gg", instances: [whole] });
    const [is] = catalog.instancesOf("gg");
    deepEqual(is, whole);
    return is!;
  };
  const first = put({});
  const second = put({ port: 2, node: "other", provider: "q" });
  equal(second.address, first.address);
  equal(second.ips, first.ips);
  const third = put({ ips: ["192.0.2.1"] });
  equal(third.address, first.address);
  equal(put({ address: { ...ADDRESS, job: "cron" }, ips: ["192.0.2.1"] }).ips, third.ips);
});
