/**
 * What pools, members, services and geo rules have in common: one table of resources, one suite that each passes.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Plan } from "../../src/change/plan_report.ts";
import type { ObjectKind } from "../../src/store/history.ts";
import { type ApiWorld, apiWorld } from "./api_world.ts";

const NOBODY = "0123456789abcdef0123456789abcdef";

/** One kind of object, and what the suite has to know about it. */
interface Resource {
  readonly noun: string;
  readonly kind: ObjectKind;
  /** Makes what the object needs, and gives the path of its collection. */
  readonly collection: (world: ApiWorld) => Promise<string>;
  /** Path of the objects. */
  readonly objects: string;
  /** Fields with which one is created; references are made by `refer`. */
  readonly fields: Record<string, unknown>;
  /** Fills in what refers to others. */
  readonly refer?: (world: ApiWorld, collection: string) => Promise<Record<string, unknown>>;
  /** What the answer to `fields` has besides id and references. */
  readonly answered: Record<string, unknown>;
  /** Fields of a replacement, and what its answer has. */
  readonly replacement: Record<string, unknown>;
  readonly replaced: Record<string, unknown>;
  /** `null` = the object has no PATCH. */
  readonly patch:
    | { readonly fields: Record<string, unknown>; readonly answered: Record<string, unknown> }
    | null;
  /** Fields that are all wrong, with the pointers that must be named. */
  readonly broken: { readonly fields: Record<string, unknown>; readonly pointers: readonly string[] };
  /** A mistyped key and the one that was meant. */
  readonly typo: { readonly given: string; readonly meant: string };
  /** Whether a second one with the same fields is refused. */
  readonly unique: boolean;
  /** A reference that leads nowhere; `null` = it has none. */
  readonly dangling: Record<string, unknown> | null;
  /** Whether `If-None-Match` is heeded. */
  readonly cacheable: boolean;
}

/** What a pool has by default beyond the fields that each test names. */
const STEERING_DEFAULTS = {
  fallbackPoolId: null,
  minHealthy: 0,
  failback: "auto",
  failbackDelayMs: 0,
  geofence: false,
  flatten: true,
  discover: null,
};

const RESOURCES: readonly Resource[] = [
  {
    noun: "pool",
    kind: "pool",
    collection: () => Promise.resolve("/pools"),
    objects: "/pools",
    fields: { name: "web", algorithm: "weighted-round-robin" },
    answered: {
      name: "web",
      algorithm: "weighted-round-robin",
      maxAnswers: 1,
      onAllDown: "all",
      ...STEERING_DEFAULTS,
    },
    replacement: { name: "www", maxAnswers: 3 },
    replaced: {
      name: "www",
      algorithm: "round-robin",
      maxAnswers: 3,
      onAllDown: "all",
      ...STEERING_DEFAULTS,
    },
    patch: {
      fields: { onAllDown: "none", algorithm: null, minHealthy: "50%", failback: "manual" },
      answered: {
        name: "web",
        algorithm: "round-robin",
        maxAnswers: 1,
        onAllDown: "none",
        ...STEERING_DEFAULTS,
        minHealthy: "50%",
        failback: "manual",
      },
    },
    broken: {
      fields: {
        name: "-",
        algorithm: "best",
        maxAnswers: 101,
        onAllDown: 1,
        fallbackPoolId: "x",
        minHealthy: "150%",
        failback: "never",
        failbackDelayMs: -1,
        geofence: 1,
        flatten: "no",
      },
      pointers: [
        "/name",
        "/algorithm",
        "/maxAnswers",
        "/onAllDown",
        "/fallbackPoolId",
        "/minHealthy",
        "/failback",
        "/failbackDelayMs",
        "/geofence",
        "/flatten",
      ],
    },
    typo: { given: "maxAnswer", meant: "maxAnswers" },
    unique: true,
    dangling: { onAllDown: "fallback", fallbackPoolId: NOBODY },
    cacheable: true,
  },
  {
    noun: "member",
    kind: "member",
    collection: async (world) => `/pools/${(await world.create("/pools", { name: "web" })).id}/members`,
    objects: "/members",
    fields: { ipAddress: "::FFFF:192.0.2.10", port: 443, weight: -7, latitude: 50.1, longitude: 8.7 },
    answered: {
      ipAddress: "192.0.2.10",
      target: null,
      region: "",
      port: 443,
      weight: 1,
      priority: 0,
      enabled: true,
      latitude: 50.1,
      longitude: 8.7,
    },
    replacement: { target: "LB.Example.net.", port: 80, enabled: false, region: "eu-1" },
    replaced: {
      ipAddress: null,
      target: "lb.example.net",
      region: "eu-1",
      port: 80,
      weight: 1,
      priority: 0,
      enabled: false,
      latitude: null,
      longitude: null,
    },
    patch: {
      fields: {
        weight: 5,
        latitude: null,
        longitude: null,
        ipAddress: null,
        target: "lb.example.net",
      },
      answered: {
        ipAddress: null,
        target: "lb.example.net",
        region: "",
        port: 443,
        weight: 5,
        priority: 0,
        enabled: true,
        latitude: null,
        longitude: null,
      },
    },
    broken: {
      fields: {
        ipAddress: "192.0.2.300",
        port: 70000,
        weight: 1.5,
        priority: -1,
        enabled: "yes",
        latitude: 91,
        target: "192.0.2.1",
        region: "a b",
      },
      pointers: [
        "/ipAddress",
        "/port",
        "/weight",
        "/priority",
        "/enabled",
        "/latitude",
        "/target",
        "/region",
      ],
    },
    typo: { given: "ipAdress", meant: "ipAddress" },
    unique: true,
    dangling: null,
    cacheable: false,
  },
  {
    noun: "service",
    kind: "service",
    collection: () => Promise.resolve("/services"),
    objects: "/services",
    fields: { domain: "WWW.Example.COM.", ttl: 5 },
    answered: { domain: "www.example.com", poolId: null, ttl: 5, minTtl: 0, ecs: true },
    replacement: { domain: "*.example.com", ecs: false },
    replaced: { domain: "*.example.com", poolId: null, ttl: 30, minTtl: 0, ecs: false },
    patch: {
      fields: { ttl: null, ecs: false },
      answered: { domain: "www.example.com", poolId: null, ttl: 30, minTtl: 0, ecs: false },
    },
    broken: {
      fields: { domain: "a..b", poolId: 7, ttl: 86401, minTtl: -1, ecs: "no" },
      pointers: ["/domain", "/poolId", "/ttl", "/minTtl", "/ecs"],
    },
    typo: { given: "poolid", meant: "poolId" },
    unique: true,
    dangling: { poolId: NOBODY },
    cacheable: true,
  },
  {
    noun: "geo rule",
    kind: "geoRule",
    collection: async (world) => {
      const pool = await world.create("/pools", { name: "web" });
      await world.create(`/pools/${pool.id}/members`, { ipAddress: "192.0.2.10", port: 443 });
      return `/pools/${pool.id}/geo-rules`;
    },
    objects: "/geo-rules",
    fields: { country: "de" },
    refer: async (world, collection) => {
      const members = await (await world.send(`GET /api/v1${collection.replace("geo-rules", "members")}`))
        .json();
      return { memberId: members[0].id };
    },
    answered: { cidr: null, country: "DE", continent: null, asn: null },
    replacement: { cidr: "198.51.100.0/24" },
    replaced: { cidr: "198.51.100.0/24", country: null, continent: null, asn: null },
    patch: null,
    broken: {
      fields: { cidr: "198.51.100.1/24", country: "Germany", continent: "Atlantis", asn: 0, memberId: 1 },
      pointers: ["/cidr", "/country", "/continent", "/asn", "/memberId"],
    },
    typo: { given: "contry", meant: "country" },
    unique: false,
    dangling: { memberId: NOBODY },
    cacheable: true,
  },
];

/** A world with one object of the resource, and all that a test wants to know about it. */
async function worldWith(resource: Resource) {
  const world = apiWorld();
  const collection = await resource.collection(world);
  const references = await resource.refer?.(world, collection) ?? {};
  const fields = { ...resource.fields, ...references };
  const created = await world.send(`POST /api/v1${collection}`, { body: fields });
  const object = await created.json();
  const path = `/api/v1${resource.objects}/${object.id}`;
  return { world, collection: `/api/v1${collection}`, references, fields, created, object, path };
}

/** The fields of an object that the table can know: neither ids nor health, nor what overrides it. */
function known(
  { id: _, poolId, health: __, override: ____, memberId: ___, ...fields }: Record<string, unknown>,
  { noun }: Resource,
) {
  return noun === "service" ? { ...fields, poolId } : fields;
}

for (const resource of RESOURCES) {
  const { noun } = resource;

  Deno.test(`a ${noun} is created with defaults and canonical values, at its Location, with an ETag`, async () => {
    const { world, created, object, path } = await worldWith(resource);
    using _ = world;
    assert.equal(created.status, 201);
    assert.match(object.id, /^[0-9a-f]{32}$/);
    assert.deepEqual(known(object, resource), known(resource.answered, resource));
    assert.equal(created.headers.get("location"), path);
    assert.equal(created.headers.get("pleiades-generation"), String(world.store.generation()));
    const read = await world.send(`GET ${path}`);
    assert.deepEqual(await read.json(), object);
    assert.equal(read.headers.get("etag"), created.headers.get("etag"));
  });

  Deno.test(`the collection of a ${noun} is an array that holds it, and an empty one before`, async () => {
    const { world, collection, object, path } = await worldWith(resource);
    using _ = world;
    assert.deepEqual(await (await world.send(`GET ${collection}`)).json(), [object]);
    await world.send(`DELETE ${path}`);
    assert.deepEqual(await (await world.send(`GET ${collection}`)).json(), []);
  });

  Deno.test(`PUT replaces a ${noun}: what is left out gets its default`, async () => {
    const { world, references, path, object, created } = await worldWith(resource);
    using _ = world;
    const response = await world.send(`PUT ${path}`, { body: { ...resource.replacement, ...references } });
    assert.equal(response.status, 200);
    const replaced = await response.json();
    assert.equal(replaced.id, object.id);
    assert.deepEqual(known(replaced, resource), known(resource.replaced, resource));
    assert.notEqual(response.headers.get("etag"), created.headers.get("etag"));
    assert.deepEqual(await (await world.send(`GET ${path}`)).json(), replaced);
  });

  if (resource.patch) {
    const { fields, answered } = resource.patch;
    for (const type of ["application/json", "application/merge-patch+json"]) {
      Deno.test(`PATCH with ${type} merges into a ${noun}: the rest stays, null puts the default back`, async () => {
        const { world, path } = await worldWith(resource);
        using _ = world;
        const response = await world.send(`PATCH ${path}`, {
          body: fields,
          headers: { "content-type": type },
        });
        assert.equal(response.status, 200);
        assert.deepEqual(known(await response.json(), resource), known(answered, resource));
      });
    }

    Deno.test(`PATCH refuses a ${noun} that would be wrong as a whole, and changes nothing`, async () => {
      const { world, path, object } = await worldWith(resource);
      using _ = world;
      const response = await world.send(`PATCH ${path}`, { body: resource.broken.fields });
      assert.equal(response.status, 400);
      assert.deepEqual(await (await world.send(`GET ${path}`)).json(), object);
    });
  } else {
    Deno.test(`PATCH of a ${noun} isn't possible`, async () => {
      const { world, path } = await worldWith(resource);
      using _ = world;
      const response = await world.send(`PATCH ${path}`, { body: {} });
      assert.equal(response.status, 405);
      assert.equal(response.headers.get("allow"), "DELETE, GET, HEAD, PUT");
    });
  }

  Deno.test(`DELETE removes a ${noun} with 204 and no body`, async () => {
    const { world, path } = await worldWith(resource);
    using _ = world;
    const response = await world.send(`DELETE ${path}`);
    assert.equal(response.status, 204);
    assert.equal(await response.text(), "");
    assert.equal((await world.send(`GET ${path}`)).status, 404);
  });

  Deno.test(`every wrong field of a ${noun} is named at once`, async () => {
    const { world, collection } = await worldWith(resource);
    using _ = world;
    const generation = world.store.generation();
    const response = await world.send(`POST ${collection}`, { body: resource.broken.fields });
    assert.equal(response.status, 400);
    assert.equal(response.headers.get("content-type"), "application/problem+json");
    const { errors } = await response.json();
    const pointers = errors.map(({ pointer }: { pointer: string }) => pointer);
    assert.deepEqual(new Set(pointers), new Set(resource.broken.pointers));
    assert.equal(world.store.generation(), generation);
  });

  Deno.test(`an unknown field of a ${noun} is refused, and the nearest known one is named`, async () => {
    const { world, collection, fields } = await worldWith(resource);
    using _ = world;
    const { given, meant } = resource.typo;
    const response = await world.send(`POST ${collection}`, { body: { ...fields, [given]: 1 } });
    assert.equal(response.status, 400);
    assert.deepEqual((await response.json()).errors, [
      { pointer: `/${given}`, message: `Unknown key "${given}" (did you mean "${meant}"?)` },
    ]);
  });

  for (const method of ["GET", "PUT", "PATCH", "DELETE"]) {
    if (method === "PATCH" && !resource.patch) continue;
    for (const [what, id] of [["an unknown id", NOBODY], ["what is no id", "none"]]) {
      Deno.test(`${method} of a ${noun} with ${what} is 404`, async () => {
        const { world, fields } = await worldWith(resource);
        using _ = world;
        const body = method === "PUT" ? { body: fields } : method === "PATCH" ? { body: {} } : {};
        const response = await world.send(`${method} /api/v1${resource.objects}/${id}`, body);
        assert.equal(response.status, 404);
        assert.equal((await response.json()).status, 404);
      });
    }
  }

  Deno.test(`a write of a ${noun} with the current ETag goes through, with an older one it is 412`, async () => {
    const { world, references, path, created } = await worldWith(resource);
    using _ = world;
    const stale = created.headers.get("etag")!;
    const body = { ...resource.replacement, ...references };
    const first = await world.send(`PUT ${path}`, { body, headers: { "if-match": `"x", ${stale}` } });
    assert.equal(first.status, 200);
    const generation = world.store.generation();
    const other = { ...resource.fields, ...references };
    for (const [method, options] of [["PUT", { body: other }], ["DELETE", {}]] as const) {
      const response = await world.send(`${method} ${path}`, { ...options, headers: { "if-match": stale } });
      assert.equal(response.status, 412, method);
    }
    assert.equal(world.store.generation(), generation);
    const last = await world.send(`DELETE ${path}`, { headers: { "if-match": "*" } });
    assert.equal(last.status, 204);
  });

  Deno.test(`the ETag of a ${noun} that was weakened by compression still matches`, async () => {
    const { world, path, created } = await worldWith(resource);
    using _ = world;
    const headers = { "if-match": `W/${created.headers.get("etag")}` };
    assert.equal((await world.send(`DELETE ${path}`, { headers })).status, 204);
  });

  Deno.test(`If-None-Match on a ${noun} answers ${resource.cacheable ? "304" : "200, since health may differ"}`, async () => {
    const { world, path, created } = await worldWith(resource);
    using _ = world;
    const etag = created.headers.get("etag")!;
    const same = await world.send(`GET ${path}`, { headers: { "if-none-match": etag } });
    assert.equal(same.status, resource.cacheable ? 304 : 200);
    assert.equal(same.headers.get("etag"), etag);
    if (resource.cacheable) assert.equal(await same.text(), "");
    const different = await world.send(`GET ${path}`, { headers: { "if-none-match": `"999"` } });
    assert.equal(different.status, 200);
  });

  Deno.test(`a dry run of each write of a ${noun} answers with the plan and changes nothing`, async () => {
    const { world, collection, references, path } = await worldWith(resource);
    using _ = world;
    await world.send(`PUT ${path}`, { body: { ...resource.replacement, ...references } });
    const before = world.store.model();
    const body = { ...resource.fields, ...references };
    const created = await world.send(`POST ${collection}?dryRun=true`, { body });
    assert.equal(created.status, 200);
    assert.equal(created.headers.get("location"), null);
    const own = ({ changes }: Plan) => changes.find(({ kind }) => kind === resource.kind)!;
    const creation = own(await created.json());
    assert.equal(creation.action, "created");
    const replaced = await world.send(`PUT ${path}?dryRun=true`, { body });
    assert.equal(replaced.status, 200);
    const replacement = own(await replaced.json());
    assert.equal(replacement.action, "changed");
    const { seq: __, ...after } = replacement.after as Record<string, unknown>;
    assert.deepEqual(known(after, resource), known(resource.answered, resource));
    const deletion = await world.send(`DELETE ${path}?dryRun=true`);
    assert.equal(deletion.status, 200);
    assert.equal(own(await deletion.json()).action, "deleted");
    assert.deepEqual(world.store.model(), before);
  });

  if (resource.unique) {
    Deno.test(`a second ${noun} of the same name is 409, in a dry run too`, async () => {
      const { world, collection, fields } = await worldWith(resource);
      using _ = world;
      for (const query of ["", "?dryRun=true"]) {
        const response = await world.send(`POST ${collection}${query}`, { body: fields });
        assert.equal(response.status, 409);
        assert.equal((await response.json()).errors.length, 1);
      }
    });
  }

  if (resource.dangling) {
    const { dangling } = resource;
    Deno.test(`a ${noun} that refers to nothing is 422`, async () => {
      const { world, path, fields } = await worldWith(resource);
      using _ = world;
      const response = await world.send(`PUT ${path}`, { body: { ...fields, ...dangling } });
      assert.equal(response.status, 422);
      const pointer = `/${Object.keys(dangling).at(-1)}`;
      assert.equal((await response.json()).errors[0].pointer, pointer);
    });
  }

  Deno.test(`the reason of a write of a ${noun} is in the history`, async () => {
    const { world, path } = await worldWith(resource);
    using _ = world;
    await world.send(`DELETE ${path}?reason=no%20longer%20needed`);
    const { via, by, reason } = world.store.history.get(world.store.generation())!;
    assert.deepEqual({ via, by, reason }, { via: "api", by: "", reason: "no longer needed" });
  });
}

for (const path of ["members", "geo-rules"]) {
  Deno.test(`the ${path} of an unknown pool are 404, to read and to create`, async () => {
    using world = apiWorld();
    const body = path === "members"
      ? { ipAddress: "192.0.2.1", port: 1 }
      : { country: "DE", memberId: NOBODY };
    assert.equal((await world.send(`GET /api/v1/pools/${NOBODY}/${path}`)).status, 404);
    assert.equal((await world.send(`POST /api/v1/pools/${NOBODY}/${path}`, { body })).status, 404);
  });
}

Deno.test("of very many unknown fields the first hundred are named, and the others counted", async () => {
  using world = apiWorld();
  const body = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`key${i}`, 1]));
  const response = await world.send("POST /api/v1/pools", { body: { name: "web", ...body } });
  assert.equal(response.status, 400);
  const { errors } = await response.json();
  assert.equal(errors.length, 101);
  assert.equal(errors[0].pointer, "/key0");
  assert.deepEqual(errors.at(-1), { pointer: "", message: "and 4900 more problems (fix these first)" });
});
