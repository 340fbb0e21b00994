/**
 * Several workers on the same addresses.
 *
 * @module
 */
import assert from "node:assert/strict";
import { COUNTER } from "../../src/dns/counters.ts";
import { UdpClient } from "./clients.ts";
import { Loopback } from "./loopback.ts";
import { addresses, query } from "./packets.ts";

const WWW = query("www.example.com", "A");
const WORLD = {
  pools: [{ name: "web", members: ["192.0.2.1", "192.0.2.2", "192.0.2.3"] }],
  services: { "www.example.com": "web" },
};
const ON_LINUX = { ignore: Deno.build.os !== "linux" };

/** As many clients as it takes until each of two workers has one: the kernel chooses by the client's port. */
async function clientsOfBoth(node: Loopback): Promise<UdpClient[]> {
  const clients: UdpClient[] = [];
  const asked = (lane: number) => node.world.board.lane(lane)[COUNTER.queriesUdp]!;
  while (asked(0) === 0 || asked(1) === 0) {
    const client = new UdpClient(node.address);
    clients.push(client);
    await client.ask(WWW);
  }
  return clients;
}

Deno.test({
  name: "two workers answer in exact rotation together",
  ...ON_LINUX,
  fn: async () => {
    await using node = await Loopback.start(WORLD, { workers: 2 });
    assert.equal(node.fleet.workers, 2);
    const clients = await clientsOfBoth(node);
    const seen = new Map<string, number>();
    for (let i = 0; i < 300; i++) {
      const [first] = addresses(await clients[i % clients.length]!.ask(WWW));
      seen.set(first!, (seen.get(first!) ?? 0) + 1);
    }
    assert.deepEqual([...seen.values()], [100, 100, 100]);
    for (const client of clients) client[Symbol.dispose]();
  },
});

Deno.test({
  name: "a published snapshot is in the next answer of every worker",
  ...ON_LINUX,
  fn: async () => {
    await using node = await Loopback.start(WORLD, { workers: 2 });
    const clients = await clientsOfBoth(node);
    for (let i = 1; i <= 20; i++) {
      await node.publish({ ...WORLD, pools: [{ name: "web", members: [`198.51.100.${i}`] }] });
      for (const client of clients) assert.deepEqual(addresses(await client.ask(WWW)), [`198.51.100.${i}`]);
    }
    for (const client of clients) client[Symbol.dispose]();
  },
});

Deno.test({
  name: "a second fleet on the same address is refused, however many workers share it",
  ...ON_LINUX,
  fn: async () => {
    await using node = await Loopback.start(WORLD, { workers: 2 });
    const { hostname, port } = node.address;
    await assert.rejects(
      Loopback.start(WORLD, { workers: 2, listen: [`${hostname}:${port}`] }),
      Deno.errors.AddrInUse,
    );
  },
});

Deno.test("the portable transport has one worker, whatever is asked for", async () => {
  await using node = await Loopback.start(WORLD, { workers: 4, transport: "portable" });
  assert.deepEqual([node.fleet.workers, node.fleet.transport], [1, "portable"]);
});
