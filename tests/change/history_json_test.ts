/** @module What the history holds of each object: stored texts, so their form never changes. */
import { equal } from "node:assert/strict";
import { jsonOf } from "../../src/change/history_json.ts";
import { geoRuleFields, healthCheck, id, memberFields, poolFields, serviceFields } from "./samples.ts";

Deno.test("the fields of each object stand in the history in one order, new ones at the end", () => {
  const [one, two] = [id(1), id(2)];
  equal(
    jsonOf("pool", { ...poolFields(), id: one }),
    `{"id":"${one}","name":"web","algorithm":"round-robin","maxAnswers":1,"onAllDown":"all",` +
      `"fallbackPoolId":null,"minHealthy":0,"failback":"auto","failbackDelayMs":0,"geofence":false,"flatten":true,` +
      `"discover":null}`,
  );
  equal(
    jsonOf("member", { ...memberFields(), id: one, poolId: two, seq: 7 }),
    `{"id":"${one}","poolId":"${two}","ipAddress":"192.0.2.10","target":null,"port":443,"weight":1,` +
      `"priority":0,"enabled":true,"latitude":null,"longitude":null,"region":"","seq":7}`,
  );
  const check = healthCheck({ type: "calculated", checks: [healthCheck({ type: "http" })] });
  const rest = `"port":null,"intervalMs":10000,"timeoutMs":2000,"rise":2,"fall":3,"httpMethod":"GET",` +
    `"httpPath":"/","httpHost":null,"httpExpectedStatus":"200-399","httpContains":null,` +
    `"insecureSkipVerify":false,"require":"all"`;
  equal(
    jsonOf("healthCheck", { ...check, poolId: two }),
    `{"poolId":"${two}","type":"calculated",${rest},"checks":[{"type":"http",${rest},"checks":[]}]}`,
  );
  equal(
    jsonOf("geoRule", { ...geoRuleFields({ memberId: two }), id: one, poolId: two, seq: 8 }),
    `{"id":"${one}","poolId":"${two}","cidr":"198.51.100.0/24","country":null,"continent":null,"asn":null,` +
      `"memberId":"${two}","seq":8}`,
  );
  equal(
    jsonOf("service", { ...serviceFields(), id: one }),
    `{"id":"${one}","domain":"www.example.com","poolId":null,"ttl":30,"minTtl":0,"ecs":true}`,
  );
  equal(jsonOf("zone", { domain: "example.com", text: "" }), `{"domain":"example.com","text":""}`);
});
