/**
 * Real authoritative servers for a zone of tests: Knot and BIND, which take updates that one key has signed.
 *
 * @module
 */
import { decodeMessage, encodeQuery } from "../../src/wire/message.ts";
import { TYPE } from "../../src/wire/record_type.ts";
import type { TsigKey } from "../../src/wire/tsig.ts";
import type { SocketAddress } from "../../src/ip.ts";
import { pause } from "../clock.ts";
import { program } from "../programs.ts";
import { freePort } from "../free_port.ts";

/** The zone that is updated. */
export const ZONE = "example.org";

const SECRET = "c2VjcmV0IG9mIHRoZSBhZ2VudHMsIDMyIGJ5dGVzIQ==";

/** The key that may update it. */
export const KEY: TsigKey = {
  name: "agents",
  algorithm: "hmac-sha256",
  secret: Uint8Array.fromBase64(SECRET),
};

/** Its secret as settings have it. */
export const KEY_SECRET = SECRET;

/** Known to the servers, and not permitted to update. */
export const STRANGER: TsigKey = { ...KEY, name: "stranger" };

/** The same secret under another algorithm. */
export const KEY_SHA512: TsigKey = { ...KEY, name: "agents512", algorithm: "hmac-sha512" };

const ZONE_TEXT = `$TTL 5
@ SOA ns.example.org. hostmaster.example.org. 1 3600 600 86400 5
@ NS ns.example.org.
ns A 127.0.0.1
alias CNAME ns.example.org.
*.wild A 192.0.2.99
`;

/** Which program. */
export type Make = "knot" | "bind";

/** A server that runs. */
export class NameServer implements AsyncDisposable {
  readonly address: SocketAddress;
  readonly #stack: AsyncDisposableStack;

  private constructor(address: SocketAddress, stack: AsyncDisposableStack) {
    this.address = address;
    this.#stack = stack;
  }

  /** Starts one; with `primary` it is a secondary of that. */
  static async start(
    make: Make,
    { primary = null, secondary = null, hostname = "127.0.0.1" }: {
      readonly primary?: SocketAddress | null;
      /** Told of changes. */
      readonly secondary?: SocketAddress | null;
      readonly hostname?: string;
    } = {},
    port: number = freePort(),
  ): Promise<NameServer> {
    await using starting = new AsyncDisposableStack();
    const folder = await Deno.makeTempDir({ prefix: `pleiades-${make}-` });
    starting.defer(() => Deno.remove(folder, { recursive: true }));
    if (primary === null) Deno.writeTextFileSync(`${folder}/zone`, ZONE_TEXT);
    Deno.mkdirSync(`${folder}/db`);
    const given = { folder, hostname, port, primary, secondary };
    Deno.writeTextFileSync(`${folder}/conf`, make === "knot" ? knotConf(given) : bindConf(given));
    const [name, args] = make === "knot"
      ? ["knotd", ["-c", `${folder}/conf`]] as const
      : ["named", ["-g", "-c", `${folder}/conf`, "-n", "1", "-U", "1"]] as const;
    const log = await Deno.open(`${folder}/log`, { write: true, create: true });
    const child = new Deno.Command(program(name)!, {
      args: [...args],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    })
      .spawn();
    const logged = child.stderr.pipeTo(log.writable);
    starting.defer(async () => {
      try {
        child.kill("SIGKILL");
      } catch (error) {
        if (!(error instanceof TypeError)) throw error; // ended by itself
      }
      await child.status;
      await logged;
    });
    let isOver = false;
    child.status.then(() => isOver = true);
    const address = { hostname, port };
    for (let turn = 0; await serialAt(address) === null; turn++) {
      if (isOver) throw new Error(`${name} ended: ${Deno.readTextFileSync(`${folder}/log`).slice(-2000)}`);
      await pause(turn);
    }
    return new NameServer(address, starting.move());
  }

  /** Its serial number. */
  async serial(): Promise<number> {
    return (await serialAt(this.address))!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** What a zone's server says of its serial number; `null` = nothing. */
async function serialAt({ hostname, port }: SocketAddress): Promise<number | null> {
  try {
    using connection = await Deno.connect({ hostname, port });
    const query = encodeQuery({ id: 1, name: ZONE, type: TYPE.SOA });
    await connection.write(Uint8Array.of(0, query.length, ...query));
    const buffer = new Uint8Array(4096);
    let size = 0;
    while (size < 2 || size < 2 + (buffer[0]! << 8 | buffer[1]!)) {
      const count = await connection.read(buffer.subarray(size));
      if (count === null) return null;
      size += count;
    }
    const soa = decodeMessage(buffer.subarray(2, size)).answers[0];
    return soa === undefined ? null : Number(soa.data.split(" ")[2]);
  } catch {
    return null;
  }
}

interface Given {
  readonly folder: string;
  readonly hostname: string;
  readonly port: number;
  readonly primary: SocketAddress | null;
  readonly secondary: SocketAddress | null;
}

function knotConf({ folder, hostname, port, primary, secondary }: Given): string {
  const remotes = ([["primary", primary], ["secondary", secondary]] as const).flatMap(([id, at]) =>
    at === null ? [] : [`  - id: ${id}\n    address: ${at.hostname}@${at.port}\n`]
  );
  return `server:
  rundir: ${folder}
  listen: ${hostname}@${port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
control:
  listen: ${folder}/knot.sock
database:
  storage: ${folder}/db
  journal-db-max-size: 16M
  timer-db-max-size: 1M
log:
  - target: stderr
    any: warning
key:
  - id: agents
    algorithm: hmac-sha256
    secret: ${SECRET}
  - id: agents512
    algorithm: hmac-sha512
    secret: ${SECRET}
  - id: stranger
    algorithm: hmac-sha256
    secret: ${SECRET}
${remotes.length > 0 ? `remote:\n${remotes.join("")}` : ""}acl:
  - id: update
    key: [agents, agents512]
    action: update
  - id: transfer
    address: [127.0.0.0/8, 198.18.0.0/15]
    action: [transfer, notify]
zone:
  - domain: ${ZONE}
    file: ${folder}/zone
    journal-max-usage: 8M
    zonefile-sync: -1
    acl: [${primary ? "" : "update, "}transfer]
${primary ? "    master: primary\n" : ""}${secondary ? "    notify: secondary\n" : ""}`;
}

function bindConf({ folder, hostname, port, primary, secondary }: Given): string {
  const zone = primary
    ? `type secondary; file "${folder}/zone"; primaries { ${primary.hostname} port ${primary.port}; }; allow-notify { any; };`
    : `type primary; file "${folder}/zone"; update-policy { grant agents zonesub ANY; grant agents512 zonesub ANY; }; ${
      secondary
        ? `notify explicit; notify-delay 0; also-notify { ${secondary.hostname} port ${secondary.port}; };`
        : "notify no;"
    } allow-transfer { any; };`;
  return `options {
  directory "${folder}";
  listen-on port ${port} { ${hostname}; };
  listen-on-v6 { none; };
  pid-file none;
  session-keyfile "${folder}/session.key";
  recursion no;
  dnssec-validation no;
  allow-query { any; };
};
controls { };
key agents { algorithm hmac-sha256; secret "${SECRET}"; };
key agents512 { algorithm hmac-sha512; secret "${SECRET}"; };
key stranger { algorithm hmac-sha256; secret "${SECRET}"; };
zone "${ZONE}" { ${zone} };
`;
}
