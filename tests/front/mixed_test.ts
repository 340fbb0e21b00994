/**
 * One balancer in front of a server of npm's mname, of a node of ours and of a byte peer.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { Balancer } from "../../src/front/balancer.ts";
import type { FrontEvent } from "../../src/front/front_log.ts";
import { systemClock } from "../../src/clock.ts";
import { TcpClient, UdpClient } from "../dns/clients.ts";
import { Loopback } from "../dns/loopback.ts";
import { addresses, query } from "../dns/packets.ts";
import { ByteBackend } from "./byte_backend.ts";
import { hasMname, MnameProcess } from "./mname.ts";

const WWW = query("www.example.com", "A");
const isThere = Deno.build.os === "linux" && await hasMname();

Deno.test({
  name: "mname 1.5.1, a node and a byte peer behind one balancer each keep their clients, over UDP and TCP",
  ignore: !isThere,
  fn: async () => {
    const directory = await Deno.makeTempDir();
    const events: FrontEvent[] = [];
    let told = () => {};
    try {
      await using _mname = await MnameProcess.start(`${directory}/5301`);
      await using _node = await Loopback.start({
        pools: [{ name: "web", members: ["192.0.2.1"] }],
        services: { "www.example.com": "web" },
      }, { backendSocket: `${directory}/5302` });
      using byte = new ByteBackend(`${directory}/5303`);
      await using balancer = await Balancer.start({
        ...{ address: { hostname: "127.0.0.1", port: 0 }, directory, level: "debug", clock: systemClock },
        take: (event) => {
          events.push(event);
          told();
        },
      });
      const session = await byte.greet();
      const said = (message: string) => events.filter((event) => event.message === message);
      while (said("backend is ok").length < 3 || said("backend announces extensions").length < 1) {
        await new Promise<void>((resolve) => told = resolve);
      }
      deepEqual(said("backend announces extensions").map(({ fields }) => fields["be_id"]), [5302]);
      const { port } = balancer.address;
      // Backends are dealt out in the order of their ids.
      using one = new UdpClient({ hostname: "127.0.0.1", port });
      for (let i = 0; i < 3; i++) deepEqual(addresses(await one.ask(WWW)), ["127.0.0.1"]);
      const others = [1, 2, 3].map((i) =>
        Deno.listenDatagram({ transport: "udp", hostname: `127.0.0.${1 + i}`, port: 0 })
      );
      const [two, three] = others as [Deno.DatagramConn, Deno.DatagramConn];
      const to: Deno.NetAddr = { transport: "udp", hostname: "127.0.0.1", port };
      await two.send(WWW, to);
      deepEqual(addresses((await two.receive())[0]), ["192.0.2.1"]);
      await three.send(WWW, to);
      equal((await session.read(16 + WWW.length)).slice(8, 16), "0300007f");
      for (const each of others) each.close();
      using tcp = await TcpClient.connect({ hostname: "127.0.0.1", port });
      await tcp.write(new Uint8Array([0, WWW.length, ...WWW]));
      deepEqual(addresses(await tcp.read()), ["127.0.0.1"]);
      ok(said("backend fault").length === 0);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
