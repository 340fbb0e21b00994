/**
 * Models of commits are read as `config validate` reads a checkout of them: the same problems at the same places, the same
 * model.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { OfflineModel } from "../../src/change/offline_model.ts";
import { CommitModels } from "../../src/gitops/commit_models.ts";
import { exportNdjson } from "../../src/model/model_export.ts";
import { formatProblem } from "../../src/input/yaml_source.ts";
import { testWith } from "../programs.ts";
import { AuthoredRepository, type Files, LocalRepository } from "./authored_repository.ts";

const ZONE = "@ SOA ns1 hostmaster 1 1h 10m 1w 1m\n@ NS ns1\nns1 A 192.0.2.53\n";

/** Each is a whole repository. */
const CASES: Readonly<Record<string, { readonly files: Files; readonly prefix?: string }>> = {
  "files that are merged": {
    files: {
      "pools/web.yaml": "pools:\n  - name: web\n    members:\n      - { ipAddress: 192.0.2.1, port: 1 }\n",
      "services.yml": "services:\n  - { domain: www.example.org, pool: web }\n",
      "more.ndjson": '{"service": {"domain": "a.example.org", "pool": "web"}}\n',
      ".github/workflows/ci.yaml": "on: push\n",
      "README.md": "pools: 1\n",
    },
  },
  "a name that is defined twice": {
    files: {
      "a.yaml": "pools:\n  - name: web\n",
      "a/x.yaml": "pools:\n  - name: web\n",
      "b.yaml": "services:\n  - { domain: www.example.org, pool: nope }\n",
    },
  },
  "a folder of the repository with a zone file": {
    prefix: "sites/fra1",
    files: {
      "outside.yaml": "pools: broken\n",
      "sites/fra1/zones.yaml": "zones:\n  - { domain: example.com, file: zones/example.com.zone }\n",
      "sites/fra1/zones/example.com.zone": ZONE,
    },
  },
  "zone files that are broken, missing and outside": {
    prefix: "sites",
    files: {
      "other.zone": ZONE,
      "sites/zones.yaml":
        "zones:\n  - { domain: a.example, file: a.zone }\n  - { domain: b.example, file: b.zone }\n" +
        "  - { domain: c.example, file: ../other.zone }\n",
      "sites/a.zone": "@ SOA ns1\n",
    },
  },
  "text that is no YAML, and keys that are unknown": {
    files: { "a.yaml": "pools: [\n", "b.yaml": "pools:\n  - { name: web, algoritm: geoip }\n" },
  },
  "lines that are wrong": {
    files: {
      "a.ndjson": '{"pool": {"name": "web"}}\n{"service": {"domain": "a.example", "pool": "nope"}}\n',
    },
  },
  "a settings file": { files: { "config.yaml": "dns:\n  port: 53\nloadbalancer: {}\n" } },
  "no model at all": { files: { "README.md": "none\n" } },
  "the layout of gslbd": {
    files: {
      "gslbd.yaml":
        "loadbalancer:\n  algorithm: weighted-round-robin\n  endpoints: [192.0.2.1, 192.0.2.2]\n  weights: { 192.0.2.1: 3 }\n" +
        "health:\n  type: http\n  port: 80\n  checkinterval: 10s\n  timeout: 2s\n  http: { path: /health, expectedstatus: 200 }\n",
    },
  },
  "text that is wrong in its spelling": {
    files: {
      "a.yaml": "loadbalancer:\n  algorithm: wrr\n  endpoints: [192.0.2.1]\nhealth:\n  check_interval: 1s\n",
    },
  },
};

for (const [name, { files, prefix = "" }] of Object.entries(CASES)) {
  testWith(["git"], `a commit reads as its checkout does: ${name}`, async () => {
    using authored = new AuthoredRepository();
    const commit = authored.commit(files);
    const root = prefix === "" ? authored.folder : `${authored.folder}/${prefix}`;
    using disk = await OfflineModel.read(root);
    const named = (text: string) =>
      text.replaceAll(`${root}/`, prefix === "" ? "" : `${prefix}/`).replaceAll(root, prefix || ".");
    const problems = disk.problems.map(formatProblem).map(named);
    const lines = problems.length > 0 ? null : [...exportNdjson(disk.model())].join("");
    const models = new CommitModels();
    // The second time all comes from memory.
    for (let i = 0; i < 2; i++) {
      const model = await models.read(new LocalRepository(authored), { commit, prefix });
      deepEqual(model.problems.map(formatProblem), problems);
      deepEqual("lines" in model ? [...model.lines].join("") : null, lines);
    }
  });
}

testWith(["git"], "only what is new is read again", async () => {
  using authored = new AuthoredRepository();
  const services = (i: number) => `services:\n  - { domain: s${i}.example.org }\n`;
  const first = authored.commit(
    Object.fromEntries(Array.from({ length: 5 }, (_, i) => [`${i}.yaml`, services(i)])),
  );
  const repository = new LocalRepository(authored);
  const models = new CommitModels();
  await models.read(repository, { commit: first, prefix: "" });
  equal(repository.read.length, 5);
  const second = authored.commit({ "3.yaml": services(33), "4.yaml": null });
  const model = await models.read(repository, { commit: second, prefix: "" });
  deepEqual(repository.read.slice(5), ["3.yaml"]);
  ok("lines" in model);
  equal([...model.lines].join("").match(/s\d+/g)?.join(" "), "s0 s1 s2 s33");
});
