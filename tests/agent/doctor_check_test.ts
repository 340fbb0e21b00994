/** @module What the doctor says of an agent, at a real server. */
import { deepEqual } from "node:assert/strict";
import { agentRecord } from "../../src/agent/doctor_check.ts";
import type { AgentSettings } from "../../src/agent/setup.ts";
import { systemClock } from "../../src/clock.ts";
import { testWith } from "../programs.ts";
import { TEST_SETTINGS } from "../test_node.ts";
import { KEY_SECRET, NameServer, ZONE } from "./name_servers.ts";

testWith(
  ["knotd"],
  "the doctor tries an agent's record, its service and its program, and changes nothing",
  async () => {
    await using server = await NameServer.start("knot");
    using service = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { hostname, port } = server.address;
    const rfc2136: AgentSettings["rfc2136"] = {
      ...TEST_SETTINGS.agent.rfc2136,
      server: `${hostname}:${port}`,
      zone: ZONE,
      keyName: "agents",
      secret: KEY_SECRET,
    };
    const says = async (settings: Partial<AgentSettings>) => {
      const agent = {
        ...TEST_SETTINGS.agent,
        fqdn: `www.${ZONE}`,
        tcpPort: service.addr.port,
        addresses: ["127.0.0.1"],
        rfc2136,
        ...settings,
      };
      const remarks = await agentRecord.look({
        settings: { ...TEST_SETTINGS, agent },
        secretFiles: [],
        settingsFile: null,
        clock: systemClock,
        rights: { capabilities: 0n, openFiles: null },
        node: null,
      }, new AbortController().signal);
      return remarks.map(({ level, message, fix }) =>
        `${level}: ${message.replaceAll(/127\.0\.0\.1:\d+/g, "AT")} → ${fix}`
      );
    };
    const serial = await server.serial();
    deepEqual(await says({}), []);
    deepEqual(await says({ rfc2136: { ...rfc2136, secret: "c2VjcmV0" } }), [
      "problem: AT doesn't take the secret of the key agents → fix agent.rfc2136.secret",
    ]);
    deepEqual(await says({ tcpPort: null }), ["problem: no port specified → set agent.tcpPort, such as 443"]);
    deepEqual(await says({ route53HostedZoneId: "Z1" }), [
      "problem: multiple DNS zone providers: agent.rfc2136.server and agent.route53HostedZoneId are set → " +
      "keep one of them",
    ]);
    deepEqual(await says({ rfc2136: { ...rfc2136, server: "127.0.0.1:1" } }), [
      "warning: can't be read: AT can't be asked: Connection refused (os error 111) → let its provider run, and be " +
      "reached from here; the agent asks again in each round",
    ]);
    deepEqual(await says({ tcpPort: 1 }), [
      "warning: peers would remove this server: connection refused → start its service, or fix agent.tcpPort, " +
      "agent.doTls or agent.http",
    ]);
    deepEqual(await says({ doTls: true }), [
      "warning: peers would remove this server: no answer in time → start its service, or fix agent.tcpPort, " +
      "agent.doTls or agent.http",
    ]);
    const destroy = { ...TEST_SETTINGS.agent.destroy, command: ["/nonexistent/destroy"] };
    deepEqual(await says({ destroy }), [
      "problem: there is no such program, or it isn't executable: no server that fails could be ended → install it, " +
      "or make it executable (chmod +x)",
    ]);
    deepEqual(await server.serial(), serial);
  },
);
