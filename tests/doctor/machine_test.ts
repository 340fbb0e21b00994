/** @module Tests of `pleiades doctor` on machines on which something is wrong, in namespaces of their own. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { ROOT } from "../../scripts/process.ts";
import { testWith } from "../programs.ts";
import { selfSigned } from "../health/certificates.ts";
import { findingsIn, onMachine } from "./machine.ts";

/** Files and addresses that are good. */
const GOOD = "--db node.db --dns 127.0.0.1:5353";

testWith(
  ["bash", "unshare"],
  "a healthy machine: nothing on stdout, exit code 0, and nothing is written",
  async () => {
    const result = await onMachine(`
    touch marker
    pleiades doctor ${GOOD}
    find . -newer marker ! -name . | sed 's/^/left: /'
  `);
    deepEqual(result, { code: 0, stdout: "", stderr: result.stderr });
    match(result.stderr, /^nothing to fix: \d+ checks here\n$/);
    const asJson = await onMachine(`pleiades doctor ${GOOD} -o json`);
    deepEqual([asJson.code, asJson.stdout], [0, "[]\n"]);
  },
);

testWith(["bash", "unshare"], "a port that another program holds is found with the program", async () => {
  const result = await onMachine(`
    hold 127.0.0.1:5353
    echo "holder $!" >&2
    pleiades doctor --db none --dns 0.0.0.0:5353 -o json
  `);
  equal(result.code, 1);
  const [finding, ...more] = findingsIn(result);
  deepEqual(more, []);
  equal(finding!.check, "port");
  equal(finding!.subject, "port 5353, UDP and TCP");
  match(finding!.message, /^taken by deno \(process \d+\), on 127\.0\.0\.1:5353$/);
  ok(finding!.message.includes(`process ${/holder (\d+)/.exec(result.stderr)![1]}`), result.stderr);
  match(finding!.fix, /^stop deno, or choose another port \(dns\.port\)/);
});

testWith(["bash", "unshare"], "a stub resolver on port 53 is told from other programs", async () => {
  const result = await onMachine(`
    hold 127.0.0.53:53
    pleiades doctor --db none --dns 0.0.0.0:53 -o json
  `);
  const findings = findingsIn(result);
  deepEqual(findings.map(({ check, level }) => [check, level]), [["stub-resolver", "problem"]]);
  match(findings[0]!.fix, /^name the addresses to answer on \(dns\.listenAddr: .*DNSStubListener=no/);
  const beside = await onMachine(`
    hold 127.0.0.53:53
    pleiades doctor --db none --dns 127.0.0.1:53
  `);
  deepEqual([beside.code, beside.stdout], [0, ""], "addresses that the stub leaves free");
});

testWith(["bash", "unshare"], "an address that this machine hasn't got is found", async () => {
  const findings = findingsIn(await onMachine("pleiades doctor --db none --dns 192.0.2.53:5353 -o json"));
  deepEqual(findings.map(({ check, subject }) => [check, subject]), [[
    "address",
    "dns.listenAddr 192.0.2.53",
  ]]);
});

testWith(["bash", "unshare", "setpriv"], "a low port without the privilege is found", async () => {
  const findings = findingsIn(
    await onMachine(`
      setpriv --bounding-set=-net_bind_service --inh-caps=-net_bind_service \\
        pleiades doctor --db none --dns 127.0.0.1:53 -o json
    `),
  );
  deepEqual(findings.map(({ check, subject }) => [check, subject]), [["privilege", "port 53"]]);
  match(findings[0]!.message, /CAP_NET_BIND_SERVICE/);
});

testWith(["bash", "unshare"], "a database on a file system that is read only is found", async () => {
  const findings = findingsIn(
    await onMachine(`
      mkdir disk
      mount -t tmpfs -o size=1g none disk
      mkdir disk/there
      (umask 077; touch disk/there/node.db)
      mount -o remount,ro disk
      pleiades doctor --dns 127.0.0.1:5353 --db disk/there/node.db -o json > first.json || true
      pleiades doctor --dns 127.0.0.1:5353 --db disk/new/node.db -o json > second.json || true
      sed 's/^]/,/' first.json
      sed 's/^\\[//' second.json
    `),
  );
  deepEqual(findings.map(({ check }) => check), ["database", "database"]);
  match(findings[0]!.message, /can't be read and written: its file system is mounted for reading only/);
  match(findings[1]!.message, /new can't be made in it: its file system is mounted for reading only/);
});

testWith(["bash", "unshare"], "a disk that is full, and one without room for a copy, are found", async () => {
  const full = findingsIn(
    await onMachine(`
      mkdir disk
      mount -t tmpfs -o size=100m none disk
      pleiades doctor --dns 127.0.0.1:5353 --db disk/node.db
      head -c 98m /dev/zero > disk/filled
      pleiades doctor --dns 127.0.0.1:5353 --db disk/node.db -o json
    `),
  );
  deepEqual(full.map(({ check, level }) => [check, level]), [["disk", "problem"]]);
  match(full[0]!.message, /^its disk is full: 2\.\d MB of 105 MB left; changes will fail$/);
  const narrow = findingsIn(
    await onMachine(`
      mkdir disk
      mount -t tmpfs -o size=256m none disk
      (umask 077; head -c 150m /dev/zero > disk/node.db)
      pleiades doctor --dns 127.0.0.1:5353 --db disk/node.db -o json
    `),
  );
  deepEqual(narrow.map(({ check, level }) => [check, level]), [["database", "problem"], ["disk", "warning"]]);
  match(narrow[1]!.message, /less than the database has \(157 MB\): no copy of it fits/);
});

testWith(
  ["bash", "unshare"],
  "a limit on open files below what the settings allow is found",
  async () => {
    const result = await onMachine(`
    ulimit -n 512
    pleiades doctor ${GOOD} -o json
  `);
    const findings = findingsIn(result);
    deepEqual(findings.map(({ check }) => check), ["descriptors"]);
    match(findings[0]!.message, /^is 512, and 1\d{3} could be needed: 1024 DNS over TCP/);
  },
);

testWith(["bash", "unshare", "setpriv"], "a receive buffer below the default is found", async () => {
  const findings = findingsIn(
    await onMachine(`
      # Root of the machine itself would have more than the limit.
      echo 65536 > rmem_max
      mount --bind rmem_max /proc/sys/net/core/rmem_max
      setpriv --bounding-set=-net_admin --inh-caps=-net_admin pleiades doctor ${GOOD} -o json
    `),
  );
  deepEqual(findings.map(({ check, subject }) => [check, subject]), [[
    "receive-buffer",
    "net.core.rmem_max",
  ]]);
});

testWith(["bash", "unshare"], "a transport that can't be had is found, and why", async () => {
  const findings = findingsIn(
    await onMachine(`
      '${Deno.execPath()}' run -A --deny-ffi --unstable-net --no-check '${ROOT}/main.ts' doctor ${GOOD} -o json
    `),
  );
  deepEqual(findings.map(({ check, level }) => [check, level]), [["transport", "warning"]]);
});

testWith(
  ["bash", "unshare"],
  "a node that runs is told from another program, whatever its API says",
  async () => {
    const result = await onMachine(`
    cat > pleiades.yaml <<'END'
api: { enabled: false }
dns: { listenAddr: 127.0.0.1 }
database: { path: node.db }
END
    mkfifo log
    pleiades serve -c pleiades.yaml 2> log &
    sed '/answers DNS/q' < log > /dev/null
    cat log > /dev/null &
    pleiades doctor -c pleiades.yaml
  `);
    deepEqual([result.code, result.stdout], [0, ""], result.stderr);
  },
);

testWith(["bash", "unshare"], "an installed unit says what the service would be started with", async () => {
  const result = await onMachine(`
    mkdir -p etc/systemd/system/pleiades.service.d
    cp '${ROOT}/packaging/pleiades.service' etc/systemd/system/
    printf '[Service]\\nEnvironment=PLEIADES_DATABASE_PATH=%s\\n' "$PWD/node.db" > etc/systemd/system/pleiades.service.d/a.conf
    mount --bind etc/systemd/system /etc/systemd/system
    hold 127.0.0.1:53
    pleiades doctor -o json
  `);
  const findings = findingsIn(result);
  deepEqual(findings.map(({ check, subject }) => [check, subject]), [["port", "port 53, UDP and TCP"]]);
});

testWith(["bash", "unshare"], "a unit whose service would start leaves nothing to say", async () => {
  const result = await onMachine(`
    cp '${ROOT}/packaging/pleiades.service' .
    mkdir pleiades.service.d
    printf '[Service]\\nEnvironment=PLEIADES_DATABASE_PATH=%s\\n' "$PWD/node.db" > pleiades.service.d/a.conf
    pleiades doctor --unit pleiades.service
  `);
  deepEqual([result.code, result.stdout], [0, ""], result.stderr);
});

testWith(["bash", "unshare"], "a second node on the ports of the first is found", async () => {
  const result = await onMachine(`
    settings() {
      printf 'api: { port: %s }\\ndns: { listenAddr: 127.0.0.1 }\\ndatabase: { path: none }\\n' "$1" > "$1.yaml"
    }
    settings 8080
    settings 8081
    mkfifo log
    pleiades serve -c 8080.yaml 2> log &
    sed '/answers DNS/q' < log > /dev/null
    pleiades doctor -c 8080.yaml
    pleiades doctor -c 8081.yaml -o json
  `);
  equal(result.code, 1);
  deepEqual(findingsIn(result).map(({ check, subject }) => [check, subject]), [[
    "port",
    "port 5353, UDP and TCP",
  ]]);
});

testWith(
  ["bash", "unshare"],
  "what is wrong with encrypted DNS is found: ports, certificate, and who may read its key",
  async () => {
    const { cert, key } = await selfSigned({ notAfter: new Date(Date.now() - 60_000) });
    const result = await onMachine(
      `
    printf '%s' "$CERT" > dns.crt
    printf '%s' "$KEY" > dns.key
    chmod 644 dns.key
    cat > pleiades.yaml <<'END'
database: { path: node.db }
dns:
  listenAddr: [127.0.0.1, "::1"]
  tls: { certFile: dns.crt, keyFile: dns.key }
  https: { port: 8443 }
END
    hold 127.0.0.1:853 127.0.0.1:8443
    pleiades doctor -c pleiades.yaml -o json
  `,
      { CERT: cert, KEY: key },
    );
    equal(result.code, 1);
    deepEqual(
      findingsIn(result).map(({ check, level, subject }) => [check, level, subject.replace(/^.*\//, "")])
        .sort(),
      [
        ["certificate", "problem", "dns.crt"],
        ["port", "problem", "port 8443, TCP"],
        ["port", "problem", "port 853, TCP"],
        ["secret-file", "problem", "dns.key"],
      ],
    );
    for (const key of ["dns.tls.port", "dns.https.port"]) {
      ok(result.stdout.includes(`choose another port (${key})`), result.stdout);
    }
  },
);

testWith(
  ["bash", "unshare", "taskset"],
  "a node that runs and lacks its files, its transport, its resolver and its processors finds that by itself",
  async () => {
    const result = await onMachine(`
    cat > pleiades.yaml <<'END'
api: { tokens: ["file:token"] }
database: { path: node.db }
dns: { listenAddr: 127.0.0.1 }
mapFile: { path: clients.map }
names: { resolvers: ["127.0.0.1:5399"], timeout: 200ms }
workers: 2
END
    (umask 077; printf 'right-right-right-right-right-right' > token)
    echo '192.0.2.0/24 198.51.100.7' > clients.map
    export PLEIADES_API_TOKEN=$(cat token)
    mkfifo log
    taskset -c 0 '${Deno.execPath()}' run -A --deny-ffi --unstable-net --no-check '${ROOT}/main.ts' serve -c pleiades.yaml 2> log &
    sed '/answers DNS/q' < log > /dev/null
    cat log > /dev/null &
    pleiades pools create web > /dev/null
    pleiades members create --pool web --target lb.example.net --port 80 > /dev/null
    rm node.db clients.map
    taskset -c 0 bin/pleiades doctor -c pleiades.yaml -o json
  `);
    equal(result.code, 1, result.stderr);
    const findings = findingsIn(result);
    deepEqual([...new Set(findings.map(({ check }) => check))].sort(), [
      ...["database", "file", "resolver", "settings", "transport", "workers"],
    ], JSON.stringify(findings, null, 1));
  },
);

testWith(
  ["bash", "unshare", "git"],
  "a repository whose program isn't installed is found, and what to install",
  async () => {
    const result = await onMachine(`
    for url in file:///srv/dns.git ssh://git@git.example.net/dns.git https://git.example.net/dns.git; do
      printf 'database: { path: node.db }\\ndns: { listenAddr: 127.0.0.1 }\\ngitops: { repoURL: "%s", requireSignature: false }\\n' "$url" > pleiades.yaml
      PATH=$PWD/bin pleiades doctor -c pleiades.yaml >> found || true
    done
    /bin/cat found
    pleiades doctor -c pleiades.yaml
  `);
    equal(result.code, 0, result.stderr);
    const needed = [...result.stdout.matchAll(/needs the program (\w+)/g)].map(([, name]) => name);
    deepEqual(needed, ["git", "ssh"], result.stdout);
  },
);
