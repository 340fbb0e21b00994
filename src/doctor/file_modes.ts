/**
 * Checks of files: secrets that others may read, and files of a running node that its next start wouldn't find.
 *
 * @module
 */
import { fileFault } from "../input/file_fault.ts";
import { expectRegular } from "../input/regular_file.ts";
import type { Settings } from "../settings/settings.ts";
import type { Check } from "./check.ts";
import { databaseFiles } from "./database_file.ts";
import { accessFault, MAY } from "./file_access.ts";
import type { Remark } from "./finding.ts";

const READABLE = { byGroup: 0o040, byOthers: 0o004 } as const;
const WRITABLE = 0o022;

/** Secrets that other users may read. */
export const secretFiles: Check = {
  id: "secret-file",
  looksAt: "files with secrets",
  when: "of files",
  look: ({ settings, secretFiles, settingsFile }) => {
    const keys = [settings.api.tls.keyFile, settings.dns.tls.keyFile, settings.state.nats.tls.keyFile].filter(
      (file) => file !== null,
    );
    const paths = [...secretFiles, ...keys, ...databaseFiles(settings)];
    return lookAtModes([...new Set(paths)], settingsFile);
  },
};

/** The same of those that a node knows of by itself. */
export const ownSecretFiles: Check = { ...secretFiles, when: "in a node" };

/** What others than a file's user and those of its group that may read it may do: all beyond 0640. */
const BEYOND_GROUP_READING = 0o027;

/** A file that more may use than should. */
export interface OpenFile {
  /** Where it is. */
  readonly path: string;
  /** Its permissions, of which some are too many. */
  readonly mode: number;
  /** Whose it is. */
  readonly uid: number | null;
}

/** Those of these files whose mode is wider than 0640, each once; what isn't there or isn't a file is passed over. */
export function filesOpenToOthers(paths: readonly string[]): OpenFile[] {
  return [...new Set(paths)].flatMap((path) => {
    try {
      const { isFile, mode, uid } = Deno.statSync(path);
      if (!isFile || mode === null || (mode & BEYOND_GROUP_READING) === 0) return [];
      return [{ path, mode: mode & 0o777, uid }];
    } catch {
      return []; // that it is missed is said elsewhere
    }
  });
}

/**
 * Takes from others what they may do with files that the node has made, and that are its user's: all but reading by the
 * group. The node itself makes none so, whatever the umask; but a copy by hand does.
 *
 * @returns those that were open, with what they may do no more, or all that they may, where they are another user's
 */
export function closeToOthers(paths: readonly string[]): (OpenFile & { readonly left: number })[] {
  return filesOpenToOthers(paths).map((file) => {
    const left = file.mode & ~BEYOND_GROUP_READING;
    try {
      Deno.chmodSync(file.path, left);
      return { ...file, left };
    } catch {
      return { ...file, left: file.mode };
    }
  });
}

async function lookAtModes(paths: readonly string[], settingsFile: string | null): Promise<Remark[]> {
  const remarks = await Promise.all(paths.map(async (path) => {
    const info = await Deno.stat(path).catch((error) => {
      // What isn't there has no secrets; that it is missed is said elsewhere. What can't even be seen can't be read.
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) return null;
      throw error;
    });
    return info === null ? [] : remarkOn(path, { info, isSettings: path === settingsFile });
  }));
  return remarks.flat();
}

/** Permissions as chmod(1) writes them, such as `640`. */
export function octal(mode: number): string {
  return (mode & 0o777).toString(8).padStart(3, "0");
}

/** A file of root's that a group may read is how a service gets at its secrets; any other group has no business there. */
function remarkOn(
  path: string,
  { info: { mode, uid, gid, isFile }, isSettings }: {
    readonly info: Deno.FileInfo;
    readonly isSettings: boolean;
  },
): Remark[] {
  if (!isFile || mode === null) return [];
  const shown = octal(mode);
  if ((mode & READABLE.byOthers) !== 0) {
    return [{
      level: "problem",
      subject: path,
      message: `every user of this machine may read it (mode ${shown}), and it holds secrets`,
      fix: isSettings
        ? "put variables in the place of its secrets (${NAME}, with NAME=value in /etc/pleiades/environment for the " +
          "service), or let the node's user alone read it (chown, chmod o=)"
        : `let the node's user alone read it (chown, chmod o= ${path})`,
    }];
  }
  if ((mode & WRITABLE) !== 0) {
    return [{
      level: "problem",
      subject: path,
      message: `others than its user may change it (mode ${shown}), and it holds secrets`,
      fix: `take that from them (chmod go-w ${path})`,
    }];
  }
  if ((mode & READABLE.byGroup) === 0 || (uid === 0 && gid !== 0)) return [];
  return [{
    level: "warning",
    subject: path,
    message: `its group may read it (mode ${shown}, group ${gid}), and it holds secrets`,
    fix: `let the node's user alone read it (chown, chmod g= ${path})`,
  }];
}

/** Files that the settings name, which a node has read and its next start will read again. */
export const namedFiles: Check = {
  id: "file",
  looksAt: "files that the settings name",
  when: "in a node",
  look: async ({ settings }) => {
    const remarks = await Promise.all(
      filesOf(settings).map(async ([path, key]) => {
        const fault = await readingFault(path);
        return fault === null ? [] : [{
          level: "problem" as const,
          subject: path,
          message:
            `can't be read any more: ${fault}; what was read of it is in effect until the next reload or ` +
            "start, which would fail",
          fix: `put it back, or take it out of the settings (${key})`,
        }];
      }),
    );
    return remarks.flat();
  },
};

/** Why a file can't be read; `null` = it can. It isn't opened: a pipe would be waited for. */
async function readingFault(path: string): Promise<string | null> {
  try {
    expectRegular(await Deno.stat(path));
    return await accessFault(path, MAY.read);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return fileFault(error);
  }
}

/** With the keys that name them. */
function filesOf(
  { dns, geoip, mapFile, api, state: { nats } }: Settings,
): (readonly [path: string, key: string])[] {
  const files: (readonly [string | null, string])[] = [
    ...dns.zones.map(({ file }) => [file, "dns.zones"] as const),
    ...geoip.database.map((file) => [file, "geoip.database"] as const),
    ...geoip.asnDatabase.map((file) => [file, "geoip.asnDatabase"] as const),
    [mapFile.path, "mapFile.path"],
    [api.tls.certFile, "api.tls.certFile"],
    [api.tls.keyFile, "api.tls.keyFile"],
    [dns.tls.certFile, "dns.tls.certFile"],
    [dns.tls.keyFile, "dns.tls.keyFile"],
    [nats.tls.caFile, "state.nats.tls.caFile"],
    [nats.tls.certFile, "state.nats.tls.certFile"],
    [nats.tls.keyFile, "state.nats.tls.keyFile"],
    [nats.auth.credsFile, "state.nats.auth.credsFile"],
  ];
  return files.flatMap(([path, key]) => path === null ? [] : [[path, key] as const]);
}
