/**
 * The permissions that are baked into the executable, beside what the sources use and what docs/security.md says of them, and
 * those of each thread.
 *
 * @module
 */
import { deepEqual, equal } from "node:assert/strict";
import { filesBelow } from "../scripts/check.ts";
import { permissionsFor } from "../scripts/permissions.ts";
import { ROOT } from "../scripts/process.ts";
import { MAY, type ThreadFolder } from "../src/thread.ts";
import { codeOnly, none } from "./source_text.ts";

/** What a name needs of Deno that isn't given without being asked for; types need nothing. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  none: (
    "addSignalListener args build consoleSize errors execPath exit mainModule memoryUsage noColor pid " +
    "removeSignalListener serve startTls stderr stdin stdout version " +
    "cpuUsage createHash createHmac gunzipSync gzipSync randomBytes setImmediate timingSafeEqual X509Certificate " +
    "basename constants delimiter dirname extname isAbsolute join relative resolve sep fileURLToPath Buffer setTimeout " +
    "Addr Conn DatagramConn DirEntry FileInfo ForeignLibraryInterface FsFile HttpServer Listener NetAddr " +
    "PermissionOptionsObject PointerObject SeekMode Signal TcpConn TcpListener TlsConn TlsListener DynamicLibrary " +
    "UnixConn UnixListener " +
    "Hash TLSSocket SQLInputValue StatementSync HttpClient createHttpClient ChildProcess createInflate deflateSync inflateSync permissions tmpdir"
  ).split(" "),
  read: (
    "cwd open openSync readDir readDirSync readFile readFileSync readLink readTextFile readTextFileSync " +
    "realPathSync stat statSync lstat lstatSync access accessSync existsSync DatabaseSync backup"
  ).split(" "),
  write:
    "chmod chmodSync makeTempDir makeTempDirSync mkdir mkdirSync remove removeSync rename renameSync writeFile writeFileSync writeTextFile"
      .split(" "),
  net: "connect connectTls listen listenDatagram listenTls lookup connectNodeTcp connectNodeTls".split(" "),
  env: ["env"],
  ffi: ["dlopen", "UnsafePointer", "UnsafePointerView"],
  "sys=homedir": ["homedir"],
  "sys=hostname": ["hostname"],
  "sys=networkInterfaces": ["networkInterfaces"],
  "sys=statfs": ["statfs"],
  "sys=uid": ["uid", "accessSync"],
  "run=git": ["Command"],
  "run=ssh": ["Command"],
  "run=destroy": ["Command"],
  "run=consul": ["Command"],
};

Deno.test("the sources use nothing that the executable isn't permitted", async () => {
  const baked = permissionsFor(Deno.build.target);
  const isBaked = (need: string) => {
    const [kind, name] = need.split("=");
    const flag = baked.find((each) => each === `--allow-${kind}` || each.startsWith(`--allow-${kind}=`));
    const list = flag?.split("=")[1]?.split(",").map((each) => each.split("/").at(-1));
    return flag !== undefined && (name === undefined || list === undefined || list.includes(name));
  };
  const faults: string[] = [];
  for (const file of ["main.ts", ...await filesBelow("src")]) {
    const source = Deno.readTextFileSync(`${ROOT}/${file}`);
    for (const name of namesOfRunTime(source)) {
      const needs = Object.entries(NEEDS).filter(([, names]) => names.includes(name)).map(([need]) => need);
      if (needs.length === 0) faults.push(`${file} uses ${name}: say in NEEDS which permission it takes`);
      for (const need of needs) {
        if (need !== "none" && !isBaked(need)) {
          faults.push(`${file} uses ${name}, and ${need} isn't baked in`);
        }
      }
    }
  }
  none(faults);
});

/** Names of Deno's that are used, and names imported from Node's modules. */
function namesOfRunTime(source: string): Set<string> {
  const code = codeOnly(source);
  const names = new Set([...code.matchAll(/\bDeno\.(\w+)/g)].map(([, name]) => name!));
  for (const [, list] of source.matchAll(/^import (?:type )?\{([^}]*)\} from "node:[\w/]+";$/gm)) {
    for (const each of list!.split(",").filter((text) => text.trim() !== "")) {
      const [, original, local] = /^(?:type )?(\w+)(?: as (\w+))?$/.exec(each.trim())!;
      names.add(original === "connect" ? local! : original!);
    }
  }
  return names;
}

Deno.test("docs/security.md has a row for each permission that is baked in, and for no other", () => {
  const page = Deno.readTextFileSync(`${ROOT}/docs/security.md`);
  const rows = [...page.matchAll(/^\| `(--[a-z][\w=,/-]*)`/gm)].map(([, flag]) => flag!);
  deepEqual(rows, permissionsFor("x86_64-unknown-linux-gnu"));
});

Deno.test("Windows has Git where it installs it", () => {
  const run = permissionsFor("x86_64-pc-windows-msvc").find((flag) => flag.startsWith("--allow-run="));
  equal(run, "--allow-run=C:\\Program Files\\Git\\cmd\\git.exe");
});

const TRIES = {
  file: `Deno.readTextFileSync("/etc/passwd")`,
  write: `Deno.removeSync("/nonexistent/file")`,
  run: `new Deno.Command("/usr/bin/git").outputSync()`,
  environment: `Deno.env.toObject()`,
  network: `Deno.listen({ hostname: "127.0.0.1", port: 0 }).close()`,
  libc: `Deno.dlopen("libc.so.6", {}).close()`,
} as const;

const MAY_TRY: Readonly<Record<ThreadFolder, readonly (keyof typeof TRIES)[]>> = {
  discovery: ["network", "libc"],
  dns: ["network", "libc"],
  front: ["libc"],
  geo: ["file", "libc"],
  gitops: ["file", "write", "run", "network"],
  plan: ["file", "write", "libc"],
  tui: ["file", "write", "libc"],
};

for (const [folder, may] of Object.entries(MAY_TRY)) {
  Deno.test({
    name: `the thread of ${folder}/ may use ${may.join(", ")}, and nothing else`,
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      const tried = Object.entries(TRIES).map(([name, code]) =>
        `try { ${code}; found.push("${name}"); } catch (e) { if (e.name !== "NotCapable") found.push("${name}"); }`
      );
      const source = `const found = []; ${tried.join("\n")} postMessage(found);`;
      const url = `data:text/javascript,${encodeURIComponent(source)}`;
      const permissions = MAY[folder as ThreadFolder];
      const worker = new Worker(url, { type: "module", deno: { permissions } } as WorkerOptions);
      try {
        const { promise, resolve, reject } = Promise.withResolvers<unknown>();
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = (event) => reject(event.error);
        deepEqual(await promise, Object.keys(TRIES).filter((name) => may.includes(name as never)));
      } finally {
        worker.terminate();
      }
    },
  });
}
