/**
 * Who may register, and with how much.
 *
 * @module
 */
import { deepEqual, equal, match } from "node:assert/strict";
import { createApi } from "../../src/api/api.ts";
import { DISCOVERY, type DiscoveryPort } from "../../src/discovery/port.ts";
import { Ports } from "../../src/port.ts";
import { apiWorld } from "./api_world.ts";

const TOKEN = "a-token-of-the-settings";

function world() {
  const registered: string[] = [];
  const ports = new Ports();
  ports.offer(DISCOVERY, {
    register: (provider: string, document: Uint8Array) => {
      registered.push(`${provider} ${document.length}`);
      return Promise.resolve({ kind: "done", instances: 0 });
    },
  } as unknown as DiscoveryPort);
  const api = apiWorld({ ports, auth: { tokens: [TOKEN], loopback: true } });
  const app = createApi(api.parts);
  const put = async (remoteAddress: string, body: string, headers: Readonly<Record<string, string>> = {}) => {
    const response = await app.request("http://localhost/api/v1/providers/chef", {
      method: "PUT",
      headers: { "content-type": "application/json", "authorization": `Bearer ${TOKEN}`, ...headers },
      body,
    }, { remoteAddress, holdBack: () => Promise.resolve(), answerLater: () => {} });
    return { status: response.status, text: await response.text() };
  };
  return { put, registered, [Symbol.dispose]: () => api[Symbol.dispose]() };
}

Deno.test("only programs of this machine may register", async () => {
  using api = world();
  for (const address of ["192.0.2.1", "2001:db8::1"]) {
    const { status, text } = await api.put(address, "{}");
    equal(status, 403);
    match(text, /Only programs of this machine may register/);
  }
  for (const address of ["127.0.0.1", "::1", ""]) equal((await api.put(address, "{}")).status, 200);
  deepEqual(api.registered, Array(3).fill("chef 2"));
});

Deno.test("a document may not have more than is read, nor the token that it is sent with", async () => {
  using api = world();
  equal((await api.put("127.0.0.1", " ".repeat((8 << 20) + 1))).status, 413);
  const { status, text } = await api.put("127.0.0.1", JSON.stringify({ instances: [{ id: TOKEN }] }));
  equal(status, 400);
  match(text, /The body has the token in it/);
  equal((await api.put("127.0.0.1", "{}", { "content-type": "text/plain" })).status, 415);
  deepEqual(api.registered, []);
});
