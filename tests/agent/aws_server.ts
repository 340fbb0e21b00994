/**
 * A stand-in for services of AWS: Route 53's XML over one hosted zone, STS, EC2 and a machine's metadata. Each signature is
 * computed again from the bytes that came, by the published steps of Signature Version 4 and none of the client's code.
 *
 * @module
 */
import { createHash, createHmac } from "node:crypto";

/** The keys that it knows, by their ids. */
export const KEYS: Readonly<Record<string, string>> = {
  AKIDBASE: "base/secret+key",
  AKIDPROFILE: "profile-secret",
  ASIAROLE: "role-secret",
  ASIAMACHINE: "machine-secret",
  ASIACONTAINER: "container-secret",
  ASIATOKEN: "token-secret",
};

/** A set as the zone has it; values as they are written there. */
export interface StoredSet {
  readonly name: string;
  readonly type: string;
  readonly ttl: number;
  readonly values: readonly string[];
  /** Put before the end of the element. */
  readonly extra?: string;
}

/** What happens instead of an answer: a whole answer, or what is done with the right one. */
export type Fault = Response | ((right: string) => Response);

/** An instance of EC2. */
export interface Instance {
  readonly id: string;
  readonly address: string;
}

/** The services. */
export class AwsServer implements AsyncDisposable {
  readonly sets: StoredSet[] = [];
  readonly instances: Instance[] = [];
  /** Lines such as `GET /2013-04-01/…` with the id of the key. */
  readonly requests: string[] = [];
  /** Used up one after the other by what changes or lists records. */
  readonly faults: Fault[] = [];
  /** Looks at a change until it is INSYNC. */
  pendingLooks = 0;
  /** Unix milliseconds by which signatures are judged. */
  now = () => Date.now();
  /** Whether the machine's and the container's services fail. */
  isSilent = false;
  /** Times that the machine or the container has given credentials. */
  given = 0;
  readonly #server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => this.#answer(request),
  );

  /** Where it listens. */
  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  /** The values of a set. */
  valuesAt(name: string, type: string): readonly string[] {
    return this.sets.find((set) => set.name === name && set.type === type)?.values ?? [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  async #answer(request: Request): Promise<Response> {
    const { pathname, search, searchParams } = new URL(request.url);
    const body = await request.text();
    if (this.isSilent && /^\/(latest|container)\//.test(pathname)) return new Response(null, { status: 500 });
    if (pathname.startsWith("/latest/")) return this.#metadata(request, pathname);
    if (pathname.startsWith("/container/")) return this.#container(request);
    if (!request.headers.has("authorization") && body.includes("AssumeRoleWithWebIdentity")) {
      return this.#sts(new URLSearchParams(body));
    }
    const { key, service, fault } = judge(request, body, this.now());
    this.requests.push(`${request.method} ${pathname}${search} ${key}`);
    if (fault !== null) return refusal(403, "SignatureDoesNotMatch", fault);
    if (service === "sts") return this.#sts(new URLSearchParams(body));
    if (service === "ec2") return this.#ec2(new URLSearchParams(body));
    if (pathname.startsWith("/2013-04-01/change/")) {
      return xml(
        "GetChangeResponse",
        `<ChangeInfo><Id>/change/C1</Id><Status>${
          this.pendingLooks-- > 0 ? "PENDING" : "INSYNC"
        }</Status></ChangeInfo>`,
      );
    }
    if (pathname !== "/2013-04-01/hostedzone/Z1/rrset") {
      return refusal(404, "NoSuchHostedZone", "No hosted zone found with ID: Z2");
    }
    const next = this.faults.shift();
    if (next instanceof Response) return next;
    const right = request.method === "GET" ? this.#list(searchParams) : this.#change(body);
    return next === undefined ? right : next(await right.text());
  }

  #list(query: URLSearchParams): Response {
    const [name, type] = [query.get("name")!, query.get("type")!];
    const from = this.sets.filter((set) => set.name > name || (set.name === name && set.type >= type))
      .slice(0, Number(query.get("maxitems")));
    const sets = from.map(({ name, type, ttl, values, extra = "" }) =>
      `<ResourceRecordSet><Name>${
        name.replaceAll("*", "\\052")
      }</Name><Type>${type}</Type><TTL>${ttl}</TTL>` +
      `<ResourceRecords>${
        values.map((value) => `<ResourceRecord><Value>${quoted(value)}</Value></ResourceRecord>`).join("")
      }</ResourceRecords>${extra}</ResourceRecordSet>`
    );
    return xml(
      "ListResourceRecordSetsResponse",
      `<ResourceRecordSets>${sets.join("")}</ResourceRecordSets><IsTruncated>false</IsTruncated>`,
    );
  }

  /** All of a batch or nothing. */
  #change(body: string): Response {
    let next = [...this.sets];
    const changes = [...body.matchAll(/<Change>(.*?)<\/Change>/gs)].map(([, change]) => change!);
    if (changes.length === 0) return refusal(400, "InvalidInput", "The batch is empty");
    for (const change of changes) {
      const at = (name: string) => unquoted(new RegExp(`<${name}>(.*?)</${name}>`, "s").exec(change)![1]!);
      const [action, name, type, ttl] = [at("Action"), at("Name"), at("Type"), Number(at("TTL"))];
      const values = [...change.matchAll(/<Value>(.*?)<\/Value>/gs)].map(([, value]) => unquoted(value!));
      const label = `resource record set [name='${name}', type='${type}']`;
      const there = next.find((set) => set.name === name && set.type === type);
      if (action === "CREATE") {
        if (there) {
          return refusal(400, "InvalidChangeBatch", `[Tried to create ${label} but it already exists]`);
        }
        if (type === "TXT" && values.some((value) => !/^".*"$/.test(value))) {
          return refusal(
            400,
            "InvalidChangeBatch",
            "InvalidCharacterString (Value should be enclosed in quotation marks)",
          );
        }
        next = [...next, { name, type, ttl, values }].sort((a, b) => a.name < b.name ? -1 : 1);
        continue;
      }
      if (!there) {
        return refusal(400, "InvalidChangeBatch", `[Tried to delete ${label} but it was not found]`);
      }
      const isSame = there.ttl === ttl &&
        JSON.stringify([...there.values].sort()) === JSON.stringify(values.sort());
      if (!isSame) {
        const words = `[Tried to delete ${label} but the values provided do not match the current values]`;
        return refusal(400, "InvalidChangeBatch", words);
      }
      next = next.filter((set) => set !== there);
    }
    this.sets.splice(0, Infinity, ...next);
    return xml(
      "ChangeResourceRecordSetsResponse",
      "<ChangeInfo><Id>/change/C1</Id><Status>PENDING</Status></ChangeInfo>",
    );
  }

  #sts(form: URLSearchParams): Response {
    if (form.get("RoleArn") !== "arn:aws:iam::1:role/dns") {
      return refusal(403, "AccessDenied", "not authorized");
    }
    if (form.get("ExternalId") === "wrong") return refusal(403, "AccessDenied", "not authorized");
    const isByToken = form.get("Action") === "AssumeRoleWithWebIdentity";
    if (isByToken && form.get("WebIdentityToken") !== "a.web.token") {
      return refusal(403, "AccessDenied", "not authorized");
    }
    const until = new Date(this.now() + 3_600_000).toISOString();
    const key = isByToken ? "ASIATOKEN" : "ASIAROLE";
    return xml(
      "AssumeRoleResponse",
      `<AssumeRoleResult><Credentials><AccessKeyId>${key}</AccessKeyId><SecretAccessKey>${
        KEYS[key]
      }</SecretAccessKey><SessionToken>role&amp;token</SessionToken><Expiration>${until}</Expiration></Credentials></AssumeRoleResult>`,
    );
  }

  #ec2(form: URLSearchParams): Response {
    const given = [...form].filter(([name]) => /Value|InstanceId/.test(name)).map(([, value]) => value);
    if (form.get("Action") === "TerminateInstances") {
      const rest = this.instances.filter(({ id }) => !given.includes(id));
      this.instances.splice(0, Infinity, ...rest);
      return xml("TerminateInstancesResponse", "<instancesSet/>");
    }
    const items = this.instances.filter(({ address }) => given.includes(address)).map(({ id, address }) =>
      `<item><instancesSet><item><instanceId>${id}</instanceId><privateIpAddress>${address}</privateIpAddress></item></instancesSet></item>`
    );
    return xml("DescribeInstancesResponse", `<reservationSet>${items.join("")}</reservationSet>`);
  }

  #metadata(request: Request, path: string): Response {
    if (path === "/latest/api/token") return new Response(request.method === "PUT" ? "imds" : null);
    if (request.headers.get("x-aws-ec2-metadata-token") !== "imds") {
      return new Response(null, { status: 401 });
    }
    if (path === "/latest/meta-data/placement/region") return new Response("eu-central-1");
    if (path.endsWith("/security-credentials/")) return new Response("role-of-machine\n");
    return this.#credentials("ASIAMACHINE");
  }

  #container(request: Request): Response {
    if (request.headers.get("authorization") !== "container-token") {
      return new Response(null, { status: 401 });
    }
    return this.#credentials("ASIACONTAINER");
  }

  #credentials(key: string): Response {
    this.given++;
    return Response.json({
      AccessKeyId: key,
      SecretAccessKey: KEYS[key],
      Token: `${key}'s token`,
      Expiration: new Date(this.now() + 3_600_000).toISOString(),
    });
  }
}

/** Whose signature it is, and what is wrong with it. */
function judge(request: Request, body: string, now: number) {
  const header = request.headers.get("authorization") ?? "";
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/
      .exec(header);
  if (!match) return { key: "none", service: "", fault: "there is no signature" };
  const [, key, day, region, service, names, signature] = match as unknown as string[];
  const date = request.headers.get("x-amz-date") ?? "";
  const url = new URL(request.url);
  const query = [...url.searchParams].map(([name, value]) => `${percent(name)}=${percent(value)}`).sort()
    .join("&");
  const signed = names!.split(";");
  const headers = signed.map((name) => {
    const value = name === "host" ? url.host : request.headers.get(name) ?? "";
    return `${name}:${value.trim().replaceAll(/\s+/g, " ")}\n`;
  }).join("");
  const canonical = [request.method, url.pathname, query, headers, names, sha256(body)].join("\n");
  const scope = `${day}/${region}/${service}/aws4_request`;
  const text = ["AWS4-HMAC-SHA256", date, scope, sha256(canonical)].join("\n");
  const signingKey = [region!, service!, "aws4_request"].reduce<Uint8Array>(
    (secret, part) => hmac(secret, part),
    hmac(new TextEncoder().encode(`AWS4${KEYS[key!] ?? ""}`), day!),
  );
  const right = new DataView(hmac(signingKey, text).buffer);
  const hex = Array.from({ length: 32 }, (_, i) => right.getUint8(i).toString(16).padStart(2, "0")).join("");
  const at = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
  const isTemporary = key!.startsWith("ASIA");
  const fault = !signed.includes("host") || !signed.includes("x-amz-date")
    ? "host and date must be signed"
    : isTemporary && !signed.includes("x-amz-security-token")
    ? "the session's token must be signed"
    : !(Math.abs(at - now) < 300_000)
    ? "Signature expired"
    : hex !== signature
    ? "The request signature we calculated does not match the signature you provided"
    : null;
  return { key: key!, service: service!, fault };
}

function percent(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function hmac(key: Uint8Array, text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHmac("sha256", key).update(text).digest());
}

/** An error in the service's form. */
export function refusal(status: number, code: string, message: string): Response {
  const error = `<Error><Type>Sender</Type><Code>${code}</Code><Message>${quoted(message)}</Message></Error>`;
  return xml("ErrorResponse", `${error}<RequestId>1</RequestId>`, status);
}

function xml(root: string, inner: string, status = 200): Response {
  const text =
    `<?xml version="1.0" encoding="UTF-8"?>\n<${root} xmlns="https://example.org/">${inner}</${root}>`;
  return new Response(text, { status, headers: { "content-type": "text/xml" } });
}

function quoted(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;").replaceAll(
    "'",
    "&#x27;",
  );
}

function unquoted(text: string): string {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"').replaceAll(
    "&amp;",
    "&",
  );
}
