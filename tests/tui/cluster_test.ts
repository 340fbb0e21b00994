/**
 * The terminal UI beside one of two nodes, which tell each other of themselves by a real broker.
 *
 * @module
 */
import { testWith } from "../programs.ts";
import { NatsServer } from "../nats/server.ts";
import { ServeProcess } from "../serve_process.ts";
import { Place, TUI } from "./place.ts";

testWith(
  ["tmux", "bash", "nats-server"],
  "beside a cluster: its nodes and how their models stand, what is saved at one node is at all, and what waits for the broker",
  async () => {
    await using broker = await NatsServer.start();
    await using place = await Place.make({}, { columns: 100 });
    const { folder, path, terminal } = place;
    const start = (id: string, region: string, database: string) => {
      const settings = `${folder}/${id}.yaml`;
      const nats = `nats: { servers: ["${broker.url}"] }`;
      Deno.writeTextFileSync(
        settings,
        `cluster: { id: terminal }\nnode: { id: ${id}, region: ${region} }\n` +
          `state: { heartbeatInterval: 300ms, heartbeatTTL: 5s, ${nats} }\n`,
      );
      return ServeProcess.start({ args: ["-c", settings, "--db", database] });
    };
    await using fra = await start("fra-1", "eu-central", path);
    await using ams = await start("ams-1", "eu-west", `${folder}/ams.db`);
    const hasPool = async (name: string) => {
      const pools: { name: string }[] = await (await fetch(`${ams.api}/pools`)).json();
      return pools.some((pool) => pool.name === name);
    };

    await terminal.press(`${TUI} --db pleiades.db --api ${new URL(fra.api).origin}`, "Enter");
    await terminal.sees(/node: connected/);
    await terminal.press("BTab");
    await terminal.sees(/^ fra-1 +eu-central +this one answers +up to date$/m);
    await terminal.sees(/^ ams-1 +eu-west +\d+ s ago +the same$/m);
    await terminal.sees(/^ nats +connected to /m);

    await terminal.press("Tab", "c");
    await terminal.sees(/Create a pool/);
    await terminal.type("web");
    await terminal.press("Enter");
    await terminal.sees(/^> web [^]*Saved as generation/m);
    await terminal.until(() => hasPool("web"), "the pool at the other node");

    await broker.kill();
    await terminal.press("c");
    await terminal.sees(/Create a pool/);
    await terminal.type("api");
    await terminal.press("Enter");
    await terminal.sees(/^. api [^]*Saved as generation/m);
    await terminal.press("BTab");
    await terminal.sees(/^ fra-1 .*this one answers +1 pending$/m);
    await terminal.sees(/^ nats +not connected/m);
    // It is heard of no more.
    await terminal.until((screen) => !/^ ams-1 +eu-west/m.test(screen), "one node");

    await broker.start();
    await terminal.sees(/^ fra-1 .*this one answers +up to date$/m);
    await terminal.sees(/^ ams-1 +eu-west .* the same$/m);
    await terminal.until(() => hasPool("api"), "the other pool at the other node");
  },
);
