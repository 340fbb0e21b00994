/** @module Whose credentials sign requests, and when they are fetched again, against a server that judges each signature. */
import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { AwsSession } from "../../src/agent/aws/session.ts";
import { AwsServer, KEYS } from "./aws_server.ts";

const signal = new AbortController().signal;
const ROLE = "arn:aws:iam::1:role/dns";

/** A machine with an environment and files, whose time can be moved. */
class Machine implements AsyncDisposable {
  readonly server = new AwsServer();
  readonly env: Record<string, string> = { HOME: "/home/agent" };
  readonly files: Record<string, string> = {};
  aheadMs = 0;
  readonly #clock = { unixMs: () => Date.now() + this.aheadMs };

  constructor() {
    this.server.now = this.#clock.unixMs;
  }

  session(options: { readonly profile?: string; readonly roleArn?: string } = {}): AwsSession {
    return new AwsSession({
      profile: options.profile ?? null,
      roleArn: options.roleArn ?? null,
      endpoint: this.server.url,
      env: (name) => this.env[name],
      readFile: (path) => {
        const text = this.files[path];
        if (text === undefined) throw new Deno.errors.NotFound();
        if (text === "forbidden") throw new Deno.errors.PermissionDenied();
        return text;
      },
      clock: this.#clock,
    });
  }

  /** The key by which a request of a session is signed. */
  async key(session: AwsSession = this.session()): Promise<string> {
    const request = { service: "route53", region: "us-east-1", url: "", path: "/2013-04-01/change/C1" };
    const { status, body } = await session.send(request, signal);
    equal(status, 200, body);
    return this.server.requests.at(-1)!.split(" ").at(-1)!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
  }
}

const CREDENTIALS = "/home/agent/.aws/credentials";
const CONFIG = "/home/agent/.aws/config";
const PROFILE_KEYS = `aws_access_key_id=AKIDPROFILE\naws_secret_access_key = ${KEYS["AKIDPROFILE"]} # new\n`;

Deno.test("credentials come from the profile, the environment, the default profile, a token, the container, the machine", async () => {
  await using machine = new Machine();
  const { env, files } = machine;
  equal(await machine.key(), "ASIAMACHINE");
  env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "/container/1";
  env["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "container-token";
  equal(await machine.key(), "ASIACONTAINER");
  env["AWS_WEB_IDENTITY_TOKEN_FILE"] = "/token";
  env["AWS_ROLE_ARN"] = ROLE;
  files["/token"] = "a.web.token\n";
  equal(await machine.key(), "ASIATOKEN");
  files[CREDENTIALS] = `[other]\n[default]\n# no\n${PROFILE_KEYS}`;
  equal(await machine.key(), "AKIDPROFILE");
  files[CREDENTIALS] = `[dns]\n${PROFILE_KEYS}`;
  equal(await machine.key(), "ASIATOKEN");
  env["AWS_PROFILE"] = "dns";
  equal(await machine.key(), "AKIDPROFILE");
  env["AWS_ACCESS_KEY_ID"] = "AKIDBASE";
  env["AWS_SECRET_ACCESS_KEY"] = KEYS["AKIDBASE"]!;
  equal(await machine.key(), "AKIDBASE");
  equal(await machine.key(machine.session({ profile: "dns" })), "AKIDPROFILE");
  equal(await machine.key(machine.session({ profile: "dns", roleArn: ROLE })), "ASIAROLE");
});

Deno.test("a profile has keys in either file, or a role that keys of another place assume", async () => {
  await using machine = new Machine();
  const { env, files } = machine;
  const key = (text: string) => {
    files[CONFIG] = text;
    return machine.key(machine.session({ profile: "dns" }));
  };
  equal(await key(`[profile dns]\n${PROFILE_KEYS}`), "AKIDPROFILE");
  files[CREDENTIALS] = `[base]\n${PROFILE_KEYS}`;
  equal(await key(`[profile dns]\nrole_arn = ${ROLE}\nsource_profile = base\nexternal_id = x\n`), "ASIAROLE");
  equal(await key(`[profile dns]\nrole_arn = ${ROLE}\nsource_profile = dns\n${PROFILE_KEYS}`), "ASIAROLE");
  equal(
    await key(`[profile dns]\nrole_arn = ${ROLE}\ncredential_source = Ec2InstanceMetadata\n`),
    "ASIAROLE",
  );
  files["/token"] = "a.web.token";
  equal(await key(`[profile dns]\nrole_arn = ${ROLE}\nweb_identity_token_file = /token\n`), "ASIATOKEN");
  env["AWS_CONFIG_FILE"] = "/elsewhere";
  files["/elsewhere"] = `[profile dns]\n${PROFILE_KEYS}`;
  equal(await key(""), "AKIDPROFILE");
});

Deno.test("what ends is fetched again five minutes before its end, and not sooner", async () => {
  await using machine = new Machine();
  for (const options of [{}, { roleArn: ROLE }]) {
    machine.aheadMs = 0;
    const session = machine.session(options);
    const before = machine.server.given;
    for (const [minutes, times] of [[0, 1], [54, 1], [56, 2], [110, 2], [112, 3]] as const) {
      machine.aheadMs = minutes * 60_000;
      await machine.key(session);
      equal(machine.server.given - before, times, `${minutes} min`);
    }
  }
});

Deno.test("where it can't be fetched again it is used until its end, and asked for twice a minute", async () => {
  await using machine = new Machine();
  const session = machine.session();
  await machine.key(session);
  machine.server.isSilent = true;
  machine.aheadMs = 56 * 60_000;
  equal(await machine.key(session), "ASIAMACHINE");
  machine.server.isSilent = false;
  equal(await machine.key(session), "ASIAMACHINE");
  equal(machine.server.given, 1);
  machine.aheadMs += 30_000;
  await machine.key(session);
  equal(machine.server.given, 2);
  machine.server.isSilent = true;
  machine.aheadMs += 61 * 60_000;
  await rejects(machine.key(session), /no credentials of AWS are found/);
});

Deno.test("keys that a service doesn't take any more are read again", async () => {
  await using machine = new Machine();
  machine.files[CREDENTIALS] = `[default]\n${PROFILE_KEYS}`;
  const session = machine.session();
  equal(await machine.key(session), "AKIDPROFILE");
  machine.files[CREDENTIALS] = `[default]\naws_access_key_id=AKIDBASE\naws_secret_access_key=${
    KEYS["AKIDBASE"]
  }\n`;
  equal(await machine.key(session), "AKIDPROFILE");
  const list = {
    service: "route53",
    region: "us-east-1",
    url: "",
    path: "/2013-04-01/hostedzone/Z1/rrset?name=a.&type=A&maxitems=1",
  };
  machine.server.faults.push(
    new Response("<ErrorResponse><Error><Code>InvalidClientTokenId</Code></Error></ErrorResponse>", {
      status: 403,
    }),
  );
  equal((await session.send(list, signal)).status, 403);
  equal(await machine.key(session), "AKIDBASE");
});

Deno.test("the region is the machine's own", async () => {
  await using machine = new Machine();
  equal(await machine.session().ownRegion(signal), "eu-central-1");
});

Deno.test("what is set up wrongly is said in a line that names the place", async () => {
  await using machine = new Machine();
  const { env, files } = machine;
  const says = async (words: RegExp, options: Parameters<Machine["session"]>[0] = {}) => {
    const error: unknown = await machine.key(machine.session(options)).catch((error) => error);
    match(String(error), words);
    deepEqual(String(error).split("\n").length, 1);
  };
  const dns = { profile: "dns" };
  await says(
    /RecordsRefused: there is no profile dns with keys in \/home\/agent\/\.aws\/credentials or .*fix agent\.awsProfile/,
    dns,
  );
  files[CREDENTIALS] = "forbidden";
  await says(/\.aws\/credentials can't be read \(agent\.awsProfile\)/, dns);
  // A home that this user may not see has no default profile.
  equal(await machine.key(), "ASIAMACHINE");
  delete files[CREDENTIALS];
  files[CONFIG] = `[profile dns]\nrole_arn=${ROLE}\n`;
  await says(/the profile dns has a role_arn and nothing that assumes it \(give it a source_profile/, dns);
  files[CONFIG] =
    `[profile dns]\nrole_arn=${ROLE}\nsource_profile=b\n[profile b]\nrole_arn=${ROLE}\nsource_profile=dns\n`;
  await says(/profiles take their keys from one another more than 5 times/, dns);
  files[CONFIG] =
    `[profile dns]\nrole_arn=${ROLE}\nexternal_id=wrong\ncredential_source=Ec2InstanceMetadata\n`;
  await says(/RecordsRefused: the role arn:aws:iam::1:role\/dns may not be assumed/, dns);
  env["AWS_PROFILE"] = "nope";
  await says(/there is no profile nope with keys.*fix AWS_PROFILE/);
  delete env["AWS_PROFILE"];
  env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://192.0.2.1/container/1";
  await says(
    /AWS_CONTAINER_CREDENTIALS_FULL_URI http:\/\/192\.0\.2\.1\/container\/1 is neither https nor on this machine/,
  );
  env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = `${machine.server.url}/container/1`;
  await says(/the container gave no credentials of AWS \(status 401\)/);
  env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = "/token";
  await says(/\/token can't be read/);
  files["/token"] = "container-token\n";
  equal(await machine.key(), "ASIACONTAINER");
  delete env["AWS_CONTAINER_CREDENTIALS_FULL_URI"];
  env["AWS_EC2_METADATA_DISABLED"] = "true";
  await says(/no credentials of AWS are found/);
});
