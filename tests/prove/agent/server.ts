/**
 * A server of the proof, in a network of its own: a TLS service, and an agent for each name as the command line runs it. Lines
 * on stdin tell the service to `hang` (it accepts and says nothing) and to `serve` again.
 *
 * @module
 */
import { run } from "../../../src/agent/commands.ts";
import { systemTerminal } from "../../../src/cli/terminal.ts";

const [address, port, certFile, keyFile, ...configs] = Deno.args as [string, string, string, string];
const [cert, key] = [Deno.readTextFileSync(certFile), Deno.readTextFileSync(keyFile)];

/** Behind the door that can be shut. */
const inner = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
let isHung = false;
answer();
open();
listen();
const { promise: stopped } = Promise.withResolvers<Deno.Signal>();
const codes = configs.map((config) => run({ config }, { terminal: systemTerminal, stopped }));
Deno.exit(Math.max(...await Promise.all(codes)));

async function answer(): Promise<void> {
  for await (const connection of inner) {
    void connection.read(new Uint8Array(1)).catch(() => {}).then(() => connection.close());
  }
}

/** Hands on what comes, or keeps it and says nothing. */
async function open(): Promise<void> {
  const kept: Deno.Conn[] = [];
  for await (const connection of Deno.listen({ hostname: address, port: Number(port) })) {
    if (isHung) kept.push(connection);
    else void handOn(connection);
  }
}

async function handOn(connection: Deno.Conn): Promise<void> {
  const behind = await Deno.connect({ hostname: "127.0.0.1", port: inner.addr.port });
  const [there, back] = [
    connection.readable.pipeTo(behind.writable),
    behind.readable.pipeTo(connection.writable),
  ];
  await Promise.allSettled([there, back]);
}

async function listen(): Promise<void> {
  for await (const piece of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    for (const word of piece.split("\n").filter(Boolean)) isHung = word === "hang";
  }
}
