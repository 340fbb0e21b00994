/**
 * The client of Consul's HTTP API against what no Consul says.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import {
  type ConsulAnswer,
  ConsulClient,
  ConsulFault,
  type ConsulQuestion,
} from "../../src/consul/client.ts";
import { type Answer, ConsulProxy } from "./proxy.ts";

const QUESTION: ConsulQuestion = {
  ...{ path: "/v1/x", query: { stale: "" }, index: 0, waitSeconds: 1, answerMs: 300, mayBeFiltered: false },
};

async function ask(
  answer: Answer,
  more: Partial<ConsulQuestion> = {},
  token: string | null = "t",
): Promise<ConsulAnswer | string> {
  await using proxy = new ConsulProxy(0);
  proxy.become(answer);
  using client = new ConsulClient({ addresses: [proxy.address], token, tokenKey: "x.token", tls: null });
  using channel = client.channel();
  try {
    return await channel.ask({ ...QUESTION, ...more });
  } catch (error) {
    ok(error instanceof ConsulFault, String(error));
    return `${error.kind}: ${error.message.replace(/127\.0\.0\.1:\d+/, "it")}`;
  }
}

function json(body: string, headers: Readonly<Record<string, string | number>> = {}): Answer {
  const lines = Object.entries({ "Content-Length": body.length, ...headers }).map(([key, value]) =>
    `${key}: ${value}\r\n`
  );
  return { bytes: `HTTP/1.1 200 OK\r\n${lines.join("")}\r\n${body}`, ends: false };
}

Deno.test("an answer is what its body and its headers say", async () => {
  deepEqual(
    await ask(
      json("[1]", { "X-Consul-Index": 7, "X-Consul-KnownLeader": "true", "X-Consul-LastContact": 12 }),
    ),
    {
      ...{ document: [1], body: new TextEncoder().encode("[1]"), index: 7, isLed: true, ageMs: 12 },
      isFiltered: false,
    },
  );
  const chunked =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\n[1\r\n4\r\n,23]\r\n0\r\nTrailer: x\r\n\r\n";
  deepEqual((await ask({ bytes: chunked, ends: false }) as ConsulAnswer).document, [1, 23]);
  deepEqual((await ask({ bytes: "HTTP/1.0 200 OK\r\n\r\n[4]", ends: true }) as ConsulAnswer).document, [4]);
});

Deno.test("an index of 0, or one that goes back, begins again", async () => {
  for (const index of ["0", "-3", "x", "1e3.5", "4"]) {
    equal(
      (await ask(json("[1]", { "X-Consul-Index": index }), { index: 5 }) as ConsulAnswer).index,
      0,
      index,
    );
  }
});

Deno.test("what is no answer is a fault, and says which", async () => {
  const filtered = { "X-Consul-Results-Filtered-By-ACLs": "true" };
  const anonymous = { "X-Consul-Default-ACL-Policy": "deny" };
  const table: readonly (readonly [Answer, string])[] = [
    [json("[]", filtered), "denied: Consul at it tells this token nothing (x.token)"],
    [json("{}", filtered), "denied: Consul at it tells this token nothing (x.token)"],
    [json('{"Node":'), "consulapi: Consul at it doesn't answer in JSON"],
    [json("\xff\xfe"), "consulapi: Consul at it doesn't answer in JSON"],
    [
      { bytes: "HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\x07", ends: false },
      "denied: Consul at it answers 403: no",
    ],
    [{ bytes: "HTTP/1.1 503 X\r\n\r\n", ends: true }, "consulapi: Consul at it answers 503"],
    [
      { bytes: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[", ends: true },
      "consulapi: Consul at it: it ended the connection before the end of its answer",
    ],
    [
      { bytes: "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n[", ends: false },
      "consulapi: Consul at it: its answer is too long",
    ],
    [
      { bytes: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ends: false },
      "consulapi: Consul at it: a chunk doesn't say how long it is",
    ],
    [
      { bytes: `HTTP/1.1 200 OK\r\nX: ${"x".repeat(70_000)}`, ends: false },
      "consulapi: Consul at it: the head of its answer is too long",
    ],
    [{ bytes: "SSH-2.0-x\r\n", ends: false }, "consulapi: Consul at it: it doesn't answer in HTTP"],
    ["silence", "noanswer: Consul at it: it takes too long"],
  ];
  for (const [answer, fault] of table) equal(await ask(answer), fault);
  equal(
    await ask(json("[]", anonymous), {}, null),
    "denied: Consul at it tells without a token nothing (x.token)",
  );
  ok(typeof await ask(json("[]", anonymous)) !== "string", "with a token it isn't for want of one");
  ok(typeof await ask(json("[]", filtered), { mayBeFiltered: true }) !== "string");
});

Deno.test("an answer says whether there may be more than is told", async () => {
  const isFiltered = async (headers: Readonly<Record<string, string>>, token: string | null) =>
    (await ask(json("[1]", headers), {}, token) as ConsulAnswer).isFiltered;
  equal(await isFiltered({}, null), false);
  equal(await isFiltered({ "X-Consul-Results-Filtered-By-ACLs": "true" }, "t"), true);
  equal(await isFiltered({ "X-Consul-Default-ACL-Policy": "deny" }, "t"), false);
  equal(await isFiltered({ "X-Consul-Default-ACL-Policy": "deny" }, null), true);
});

Deno.test("of several servers the next is asked when one is left, and what is blocked there ends", async () => {
  await using silent = new ConsulProxy(0);
  silent.become("silence");
  await using other = new ConsulProxy(0);
  other.become(json("[1]"));
  using client = new ConsulClient({
    addresses: [silent.address, other.address],
    ...{ token: null, tokenKey: "x.token", tls: null },
  });
  using channel = client.channel();
  const asked = channel.ask({ ...QUESTION, index: 1, waitSeconds: 30 }).catch((error) => error.kind);
  const { server } = client;
  client.leave(server);
  client.leave(server);
  equal(await asked, "noanswer");
  deepEqual((await channel.ask(QUESTION)).document, [1]);
});

Deno.test("localhost is whichever of its two addresses is listened on", async () => {
  for (const hostname of ["127.0.0.1", "::1"]) {
    await using proxy = new ConsulProxy(0, hostname);
    proxy.become(json("[1]"));
    const { port } = proxy.address;
    using client = new ConsulClient({
      addresses: [{ hostname: "localhost", port }],
      ...{ token: null, tokenKey: "x.token", tls: null },
    });
    using channel = client.channel();
    deepEqual((await channel.ask({ ...QUESTION, answerMs: 30_000 })).document, [1], hostname);
  }
});
