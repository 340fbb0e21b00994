/** @module What happens to nodes, servers and the networks between them, and what `b` is to answer by meanwhile. */
import type { Bed } from "./bed.ts";

/** A fault. */
export interface Fault {
  readonly name: string;
  /** For the page. */
  readonly what: string;
  /** What `b` goes by at the end of it. */
  readonly meanwhile: "own" | "others";
  /** How long it lasts, seconds. */
  readonly seconds: number;
  /** Has it strike; while it lasts, `during` may make it worse again and again. */
  readonly strike: (bed: Bed) => Promise<void> | void;
  readonly during?: (bed: Bed) => Promise<void> | void;
  /** Ends it. Servers that were away have settled again when it resolves. */
  readonly heal: (bed: Bed) => Promise<void> | void;
  /** Whether it needs more than one server, or processes whose clock can be set. */
  readonly needs?: "servers" | "processes";
}

const STREAM = "KV_gslb_test_health";
/** Five minutes, to be wrong by. */
const WRONG_MS = 300_000;
/** From one jump to the next. */
const JUMP_MS = 3_000;
/** How long is edited after a backup. */
const CHANGES_MS = 3_000;

const fair = (bed: Bed) => bed.become({ kind: "fair" });
const goOn = ({ servers }: Bed) => servers.servers.forEach((server) => server.signal("SIGCONT"));

/** Every fault, in the order of the table. */
export const FAULTS: readonly Fault[] = [
  {
    name: "one killed",
    what: "one of the servers is killed, and started again",
    meanwhile: "others",
    seconds: 12,
    strike: async ({ servers }) => await (await servers.leaderOf(STREAM)).kill(),
    heal: async ({ servers }) => {
      for (const server of servers.servers) if (!server.isRunning) await server.start();
      await servers.ready();
    },
    needs: "servers",
  },
  {
    name: "killed",
    what: "all servers are killed, and started again",
    meanwhile: "own",
    seconds: 15,
    strike: ({ servers }) => servers.killAll(),
    heal: ({ servers }) => servers.startAll(),
  },
  {
    name: "wiped",
    what: "all servers are killed under the connected nodes, lose their stores, and are started again",
    meanwhile: "own",
    seconds: 15,
    strike: ({ servers }) => servers.killAll({ wipe: true }),
    heal: ({ servers }) => servers.startAll(),
  },
  {
    name: "restored",
    what: "all servers are killed, and get back what they stored before the last changes",
    meanwhile: "own",
    seconds: 15,
    strike: async (bed) => {
      const { servers } = bed.servers;
      await bed.servers.killAll();
      for (const server of servers) await server.keep();
      await bed.servers.startAll();
      await bed.settled();
      await new Promise((resolve) => setTimeout(resolve, CHANGES_MS)); // Time is the subject: what the backup lacks.
      await bed.servers.killAll();
    },
    heal: async ({ servers }) => {
      for (const server of servers.servers) await server.restore();
      await servers.startAll();
    },
  },
  {
    name: "emptied",
    what: "the buckets and the log are deleted under the connected nodes",
    meanwhile: "others",
    seconds: 5,
    strike: ({ servers }) =>
      servers.managed(async (manager) => {
        for await (const { config } of manager.streams.list()) await manager.streams.delete(config.name);
      }),
    heal: () => {},
  },
  {
    name: "leader stopped",
    what: "the server that leads the streams stands still for 30 s, and goes on",
    meanwhile: "others",
    seconds: 30,
    strike: async ({ servers }) => (await servers.leaderOf(STREAM)).signal("SIGSTOP"),
    heal: goOn,
    needs: "servers",
  },
  {
    name: "stopped",
    what: "all servers stand still, and go on",
    meanwhile: "own",
    seconds: 15,
    strike: ({ servers }) => servers.servers.forEach((server) => server.signal("SIGSTOP")),
    heal: goOn,
  },
  {
    name: "cut off",
    what: "the node is cut off from all servers for 60 s",
    meanwhile: "own",
    seconds: 60,
    strike: (bed) => bed.become({ kind: "cut" }, [bed.nodes[1]]),
    heal: fair,
  },
  {
    name: "blackhole",
    what: "the node's network swallows every packet",
    meanwhile: "own",
    seconds: 15,
    strike: (bed) => bed.become({ kind: "silent" }, [bed.nodes[1]]),
    heal: fair,
  },
  {
    name: "deaf",
    what: "asymmetric: nothing that servers say reaches the node",
    meanwhile: "own",
    seconds: 15,
    strike: (bed) => bed.become({ kind: "deaf" }, [bed.nodes[1]]),
    heal: fair,
  },
  {
    name: "mute",
    what: "asymmetric: nothing that the node says reaches servers",
    meanwhile: "own",
    seconds: 15,
    strike: (bed) => bed.become({ kind: "mute" }, [bed.nodes[1]]),
    heal: fair,
  },
  {
    name: "others cut off",
    what: "one of two nodes that see the member is cut off",
    meanwhile: "others",
    seconds: 15,
    strike: (bed) => bed.become({ kind: "cut" }, [bed.nodes[0]]),
    heal: fair,
  },
  {
    name: "bad network",
    what: "300 ms of delay each way, and 5 % of the packets lost, between all nodes and servers",
    meanwhile: "others",
    seconds: 20,
    strike: (bed) => bed.become({ kind: "bad", delayMs: 300, lossPercent: 5, resendMs: 600 }),
    heal: fair,
  },
  {
    name: "jumbled",
    what: "a third of what nodes tell each other comes twice, a third up to 2 s late and out of order",
    meanwhile: "others",
    seconds: 20,
    strike: (bed) =>
      bed.become({ kind: "jumbled", subjects: "gslb.", twicePercent: 33, latePercent: 33, lateMs: 2_000 }),
    heal: fair,
  },
  {
    name: "clocks",
    what: "the node's clock jumps between 5 min ahead and 5 min behind, another one's stays 5 min behind",
    meanwhile: "others",
    seconds: 20,
    strike: async ({ nodes: [, b, c] }) => {
      await c.clock!.set(-WRONG_MS);
      await b.clock!.set(WRONG_MS);
    },
    during: async ({ nodes: [, b] }) =>
      await b.clock!.set(Math.floor(performance.now() / JUMP_MS) % 2 === 0 ? -WRONG_MS : WRONG_MS),
    heal: async ({ nodes }) => {
      for (const { clock } of nodes) await clock!.set(0);
    },
    needs: "processes",
  },
];
