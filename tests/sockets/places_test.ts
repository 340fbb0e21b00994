/**
 * Places for connections: how many there are, and who gives way.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { clientNetwork } from "../../src/ip.ts";
import { type PlaceLimits, Places } from "../../src/sockets/places.ts";

/** Places that these connections have taken, each named by its client's letter and a number. */
function taken(limits: PlaceLimits, ...connections: readonly string[]): Places<string> {
  const places = new Places<string>(limits);
  for (const connection of connections) places.take(connection, connection[0]!);
  return places;
}

/** Who would have to give way, in order. */
function rivals(places: Places<string>, client: string): readonly string[] | null {
  const rivals = places.rivals(client);
  return rivals && [...rivals];
}

const ROOMY = { maxConnections: 100, maxConnectionsPerClient: 100 };

Deno.test("as long as there are places none gives way", () => {
  const places = taken({ maxConnections: 3, maxConnectionsPerClient: 2 }, "a1", "b1");
  assert.equal(rivals(places, "a"), null);
  assert.equal(rivals(places, "c"), null);
  assert.equal(places.size, 2);
});

Deno.test("a client at its limit has its own give way, those idle for longest first", () => {
  const places = taken({ ...ROOMY, maxConnectionsPerClient: 2 }, "a1", "b1", "a2");
  assert.deepEqual(rivals(places, "a"), ["a1", "a2"]);
  places.refresh("a1");
  assert.deepEqual(rivals(places, "a"), ["a2", "a1"]);
  assert.equal(rivals(places, "b"), null);
});

Deno.test("where all are taken those of clients with more than their share come first", () => {
  const places = taken({ ...ROOMY, maxConnections: 6 }, "b1", "a1", "a2", "c1", "a3", "a4");
  // For three clients two each, and with a fourth one and a half.
  for (const client of ["b", "d"]) {
    assert.deepEqual(rivals(places, client), ["a1", "a2", "a3", "a4", "b1", "c1"]);
  }
  places.refresh("a1");
  assert.deepEqual(rivals(places, "b"), ["a2", "a3", "a4", "a1", "b1", "c1"]);
});

Deno.test("who comes counts among the clients, and who has left doesn't", () => {
  const places = taken({ ...ROOMY, maxConnections: 6 }, "a1", "b1", "c1", "b2", "b3", "a2");
  assert.deepEqual(rivals(places, "a"), ["b1", "b2", "b3", "a1", "c1", "a2"]); // 2 each
  assert.deepEqual(rivals(places, "d"), ["a1", "b1", "b2", "b3", "a2", "c1"]); // 1.5 each
  places.release("c1");
  places.release("b3");
  places.take("d1", "d");
  places.take("d2", "d");
  places.release("b1");
  places.take("d3", "d");
  assert.deepEqual(rivals(places, "a"), ["d1", "d2", "d3", "a1", "b2", "a2"]); // 2 each again
});

Deno.test("what was given back is no one's any more, and nothing happens when that is said twice", () => {
  const places = taken({ ...ROOMY, maxConnectionsPerClient: 1 }, "a1");
  for (let twice = 0; twice < 2; twice++) {
    places.release("a1");
    places.refresh("a1");
    assert.deepEqual([places.size, rivals(places, "a"), [...places]], [0, null, []]);
  }
});

Deno.test("property: whatever comes and goes, the count is right, and who is within its share comes behind all who aren't", () => {
  const limits = { maxConnections: 12, maxConnectionsPerClient: 8 };
  const steps = fc.array(
    fc.record({
      act: fc.constantFrom("come", "come", "come", "busy", "go"),
      client: fc.constantFrom("a", "b", "c", "d"),
      which: fc.nat(),
    }),
    { maxLength: 80 },
  );
  fc.assert(fc.property(steps, (steps) => {
    const places = new Places<string>(limits);
    let order: string[] = [];
    const of = (client: string) => order.filter((connection) => connection.startsWith(client));
    steps.forEach(({ act, client, which }, number) => {
      const chosen = order[which % Math.max(1, order.length)] ?? "none";
      if (act === "go") {
        places.release(chosen);
        order = order.filter((connection) => connection !== chosen);
      } else if (act === "busy") {
        places.refresh(chosen);
        if (order.includes(chosen)) order = [...order.filter((connection) => connection !== chosen), chosen];
      } else {
        const clients = new Set([...order.map((connection) => connection[0]), client]);
        const share = limits.maxConnections / clients.size;
        const expected = of(client).length >= limits.maxConnectionsPerClient
          ? of(client)
          : order.length < limits.maxConnections
          ? null
          : [true, false].flatMap((isOver) =>
            order.filter((connection) => of(connection[0]!).length > share === isOver)
          );
        assert.deepEqual(rivals(places, client), expected);
        if (expected !== null) {
          places.release(expected[0]!);
          order = order.filter((connection) => connection !== expected[0]);
        }
        places.take(`${client}${number}`, client);
        order.push(`${client}${number}`);
      }
      assert.deepEqual([...places], order);
      assert.equal(places.size, order.length);
    });
  }));
});

Deno.test("one client is an IPv4 address, or an IPv6 network of 64 bits", () => {
  const networks: readonly (readonly [address: string, network: string])[] = [
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"],
    ["2001:db8:1:2::", "2001:db8:1:2::"],
    ["fe80::1%eth0", "fe80::"],
    ["no address", "no address"],
  ];
  for (const [address, network] of networks) assert.equal(clientNetwork(address), network);
});
