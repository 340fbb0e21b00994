/**
 * What parts of a node offer each other.
 *
 * @module
 */
import { equal, throws } from "node:assert/strict";
import { Port, Ports } from "../src/port.ts";

Deno.test("what is offered is found by its port alone, and as long as it is offered", () => {
  const [one, other] = [
    new Port<{ readonly count: number }>("same"),
    new Port<{ readonly count: number }>("same"),
  ];
  const ports = new Ports();
  equal(ports.find(one), null);
  const offered = { count: 1 };
  const offering = ports.offer(one, offered);
  equal(ports.find(one), offered);
  equal(ports.find(other), null);
  throws(() => ports.offer(one, { count: 2 }), /Two parts offer same/);
  offering[Symbol.dispose]();
  equal(ports.find(one), null);
});
