/** @module Connections of a process with itself. */

/** How many turns it takes until a connection that there is at once counts. */
export async function turnsUntilConnected(turn: () => Promise<unknown>): Promise<number> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let connection: Deno.Conn | undefined;
  const connecting = Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }).then((opened) => {
    connection = opened;
  });
  let turns = 0;
  for (; connection === undefined && turns < 200; turns++) await turn();
  await connecting;
  connection!.close();
  return turns;
}
