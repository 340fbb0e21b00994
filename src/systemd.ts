/**
 * Talking to the service manager: `sd_notify(3)` without its library, one datagram to the socket it names.
 *
 * @module
 */

/**
 * Sends a state such as `READY=1`; does nothing where no service manager asked for it.
 *
 * Abstract sockets (`@…`), which only systemd instances of other namespaces use, are out of reach without a native
 * call and are left alone.
 *
 * @param path `NOTIFY_SOCKET` of the environment
 */
export async function notify(path: string | undefined, state: string): Promise<void> {
  if (!path?.startsWith("/")) return;
  const own = await Deno.makeTempDir({ prefix: "pleiades-notify-" });
  try {
    using socket = closing(Deno.listenDatagram({ transport: "unixpacket", path: `${own}/socket` }));
    await socket.value.send(new TextEncoder().encode(state), { transport: "unixpacket", path });
  } finally {
    await Deno.remove(own, { recursive: true });
  }
}

function closing(value: Deno.DatagramConn): Disposable & { readonly value: Deno.DatagramConn } {
  return { value, [Symbol.dispose]: () => value.close() };
}
