/** @module Tests of what is read from the kernel's tables of sockets. */
import { deepEqual, equal } from "node:assert/strict";
import { PortableUdp } from "../../src/dns/udp.ts";
import { collide, holdersOf, kernelSockets, socketsIn, userName } from "../../src/doctor/kernel_sockets.ts";

const HEAD =
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const line = (local: string, peer: string, state: string) =>
  `   0: ${local} ${peer} ${state} 00000000:00000000 00:00000000 00000000   101        0 4711 1 0 100 0 0 10 0\n`;

Deno.test("addresses of both families are read from the kernel's words", () => {
  const v4 = socketsIn(HEAD + line("3500007F:0035", "00000000:0000", "07"), "UDP");
  deepEqual(v4, [{
    protocol: "UDP",
    address: { hostname: "127.0.0.53", port: 53 },
    uid: 101,
    inode: "4711",
  }]);
  const v6 = socketsIn(
    HEAD + line("B80D0120000000000000000001000000:1F90", "00000000000000000000000000000000:0000", "0A"),
    "TCP",
  );
  deepEqual(v6[0]!.address, { hostname: "2001:db8::1", port: 8080 });
});

Deno.test("connections and clients' sockets are passed over", () => {
  deepEqual(socketsIn(HEAD + line("0100007F:0035", "0100007F:C000", "01"), "TCP"), []);
  deepEqual(socketsIn(HEAD + line("0100007F:C000", "0100007F:0035", "01"), "UDP"), []);
  deepEqual(socketsIn("", "UDP"), []);
});

for (
  const [a, b, expected] of [
    ["0.0.0.0", "127.0.0.53", true],
    ["127.0.0.53", "0.0.0.0", true],
    ["127.0.0.1", "127.0.0.53", false],
    ["::", "127.0.0.53", true],
    ["::", "0.0.0.0", true],
    ["0.0.0.0", "::1", false],
    ["0.0.0.0", "::", true],
    ["::1", "::1", true],
  ] as const
) {
  Deno.test(`sockets at ${a} and ${b} ${expected ? "keep each other off" : "live side by side"}`, () => {
    equal(collide({ hostname: a, port: 53 }, { hostname: b, port: 53 }), expected);
    equal(collide({ hostname: a, port: 53 }, { hostname: b, port: 54 }), false);
  });
}

Deno.test({
  name: "this process is found as the holder of its own sockets",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    using datagrams = new PortableUdp().bind({ hostname: "127.0.0.1", port: 0 });
    const ports = [listener.addr.port, datagrams.port];
    const sockets = kernelSockets();
    const ours = sockets.filter(({ protocol, address: { hostname, port } }) =>
      hostname === "127.0.0.1" && port === ports[protocol === "TCP" ? 0 : 1]
    );
    deepEqual(ours.map(({ protocol }) => protocol).toSorted(), ["TCP", "UDP"]);
    const holders = await holdersOf(new Set(ours.map(({ inode }) => inode)), new AbortController().signal);
    deepEqual([...holders.values()].map(({ pid }) => pid), [Deno.pid, Deno.pid]);
  },
});

Deno.test({
  name: "users have names where the machine knows them",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    equal(await userName(0), "root");
    equal(await userName(4_000_000_000), "4000000000");
  },
});
