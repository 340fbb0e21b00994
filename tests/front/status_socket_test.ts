/** @module The status socket, whose directory may go and come back. */
import { deepEqual, equal } from "node:assert/strict";
import { setImmediate } from "node:timers";
import { StatusSocket } from "../../src/front/status_socket.ts";

Deno.test({
  name: "the status socket is there again when its directory was made again, and gone when it is closed",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const folder = await Deno.makeTempDir();
    const directory = `${folder}/sockets`;
    const errors: string[] = [];
    const names = () => [...Deno.readDirSync(directory)].map(({ name }) => name);
    const turn = () => new Promise((resolve) => void setImmediate(resolve));
    try {
      await Deno.mkdir(directory);
      const socket = StatusSocket.open(`${directory}/.balstat`, {
        async *rows() {
          yield { told: true };
        },
        onError: (reason) => errors.push(reason),
      });
      for (let round = 0; round < 3; round++) {
        while (names().length === 0 && errors.length === 0) await turn();
        for (let i = 0; i < 50; i++) await turn(); // what was closed removes its own file
        deepEqual(names(), [".balstat"]);
        using reader = await Deno.connect({ transport: "unix", path: socket.path });
        equal(await new Response(reader.readable).text(), '{"told":true}\n');
        await Deno.remove(directory, { recursive: true });
        await Deno.mkdir(directory);
        socket.reopen();
      }
      while (names().length === 0) await turn();
      socket[Symbol.dispose]();
      deepEqual([names(), errors], [[], []]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: "more readers than are told at a time wait for their turn, and opened twice at once it is one socket",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const directory = await Deno.makeTempDir();
    const errors: string[] = [];
    const told = Promise.withResolvers<void>();
    try {
      using socket = StatusSocket.open(`${directory}/.balstat`, {
        async *rows() {
          await told.promise;
          yield { told: true };
        },
        onError: (reason) => errors.push(reason),
      });
      socket.reopen();
      const isThere = () => [...Deno.readDirSync(directory)].some(({ name }) => name === ".balstat");
      while (!isThere() && errors.length === 0) await new Promise((resolve) => void setImmediate(resolve));
      const readers = await Promise.all(
        Array.from({ length: 6 }, () => Deno.connect({ transport: "unix", path: socket.path })),
      );
      const texts = readers.map((reader) => new Response(reader.readable).text());
      told.resolve();
      deepEqual(await Promise.all(texts), readers.map(() => '{"told":true}\n'));
      deepEqual(errors, []);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
