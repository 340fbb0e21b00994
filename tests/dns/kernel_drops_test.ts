/**
 * What the kernel dropped.
 *
 * @module
 */
import assert from "node:assert/strict";
import { dropsIn, kernelDrops } from "../../src/dns/kernel_drops.ts";

const TEXT =
  `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  281: 0100007F:14E9 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 15012 2 0000000000000000 7
  281: 0100007F:14E9 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 15013 2 0000000000000000 5
  282: 00000000:14E9 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 15014 2 0000000000000000 100
  299: B80D0120000000000000000001000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 15015 2 0000000000000000 3
`;

Deno.test("dropsIn() sums what belongs to the addresses", () => {
  const v4 = { hostname: "127.0.0.1", port: 5353 };
  const v6 = { hostname: "2001:db8::1", port: 53 };
  assert.equal(dropsIn(TEXT, [v4]), 12);
  assert.equal(dropsIn(TEXT, [v4, v6]), 15);
  assert.equal(dropsIn(TEXT, [{ hostname: "127.0.0.1", port: 53 }]), 0);
});

Deno.test({
  name: "kernelDrops() sees what a full socket lost",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const full = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
    const sender = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
    const { hostname, port } = full.addr as Deno.NetAddr;
    // Nobody reads: the buffer holds some hundred packets of a kilobyte.
    for (let i = 0; i < 2000; i++) await sender.send(new Uint8Array(1024), full.addr);
    assert.ok(kernelDrops([{ hostname, port }])! > 0);
    const { hostname: other, port: idle } = sender.addr as Deno.NetAddr;
    assert.equal(kernelDrops([{ hostname: other, port: idle }]), 0);
    full.close();
    sender.close();
  },
});
