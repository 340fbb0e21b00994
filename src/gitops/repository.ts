/**
 * A branch of a Git repository elsewhere, read without a checkout.
 *
 * What is fetched lies in a folder of our own as packs, the way Git sends them, and is read from there object by object: no file of the
 * repository ever gets a path on this machine, so none can lead out of a folder, collide with another or be run. Whatever the
 * other side sends is bounded before it is believed.
 *
 * @module
 */

/** A branch of a repository. One caller at a time: nothing here runs twice at once. */
export interface Repository extends AsyncDisposable {
  /**
   * Brings the newest commit of the branch into the store. An unchanged branch costs one round trip.
   *
   * @param terms.known the last applied commit: history is fetched until it is reached, so that ancestry can be judged; `null` = none
   * @param terms.signal ends the fetch, and whatever program it runs
   * @returns the commit that the branch names
   * @throws {RepositoryError} the store is then as it was
   */
  fetch(
    terms: { readonly known: string | null; readonly signal: AbortSignal },
  ): Promise<{ readonly head: string }>;
  /** Bytes of a commit object as Git hashes them, without the object's header. */
  commit(id: string): Promise<Uint8Array>;
  /** Bytes of annotated tag objects that point at the commit. Asks the other side. */
  tags(commit: string): Promise<readonly Uint8Array[]>;
  /** Whether `commit` is `ancestor` or comes after it; "unknown" where the fetched history doesn't reach. */
  descends(commit: string, ancestor: string): Promise<"yes" | "no" | "unknown">;
  /**
   * Regular files below a folder, in order of their paths' bytes, which are read when asked for.
   *
   * @param prefix a folder, without slashes around it; "" = all
   * @throws {RepositoryError} for what isn't a file or a folder, has a name that no file should have, or exceeds a bound
   */
  files(commit: string, prefix: string): AsyncIterable<RepositoryFile>;
}

/** A regular file of a commit. */
export interface RepositoryFile {
  /** From the root of the repository, folders parted by `/`. */
  readonly path: string;
  /** Id of its content: equal content has an equal one. */
  readonly blob: string;
  /** Its content; the caller may keep it. */
  read(): Promise<Uint8Array>;
}

/** What a repository may cost at most; each is said by its name where it is exceeded. */
export interface Bounds {
  /** Bytes that one fetch may send, as they come over the wire. */
  readonly packBytes: number;
  /** Objects that one fetch may send. */
  readonly objects: number;
  /** Bytes of one file, folder, commit or tag. */
  readonly objectBytes: number;
  /** Bytes that come of unpacking one fetch, bytes that are thrown away included. */
  readonly unpackedBytes: number;
  /** Bytes of the list of branches and tags. */
  readonly refBytes: number;
  /** Files and folders below the prefix. */
  readonly entries: number;
  /** Folders within folders. */
  readonly depth: number;
  /** Bytes of all files below the prefix. */
  readonly fileBytes: number;
  /** Commits that are looked at to find one among the ancestors of another. */
  readonly commits: number;
  /** Bytes of the store on disk. What is beyond it is forgotten and fetched again. */
  readonly diskBytes: number;
  /** Time of one fetch. */
  readonly timeMs: number;
}

/**
 * Bounds for a repository of DNS configuration: 10,000 services in YAML have 4 MB.
 *
 * A pack of 64 MiB is held in memory while it is unpacked, beside at most 48 MiB of bases and the largest object three times (packed, base,
 * result). Stacked differences of 16 MiB took 190 MiB, 100,000 files 200 MB.
 */
export const BOUNDS: Bounds = {
  packBytes: 64 << 20,
  objects: 120_000,
  objectBytes: 16 << 20,
  unpackedBytes: 2 ** 31,
  refBytes: 8 << 20,
  entries: 20_000,
  depth: 32,
  fileBytes: 128 << 20,
  commits: 100_000,
  diskBytes: 256 << 20,
  timeMs: 25_000,
};

/** How the other side knows us. */
export interface RepositoryAuth {
  /** User name for HTTPS. */
  readonly user: string | null;
  /** Password for HTTPS. */
  readonly password: string | null;
  /** Access token for HTTPS, in place of a password. */
  readonly token: string | null;
  /** File of the private key for SSH. */
  readonly sshKeyPath: string | null;
  /** File of the host keys that SSH believes; `null` = the system's and the user's. */
  readonly knownHostsPath: string | null;
}

/** What a repository is opened with. */
export interface RepositoryOptions {
  /** `https://…`, `ssh://…`, `user@host:path`, `file:///…` or an absolute path. */
  readonly url: string;
  /** Branch that is followed, without `refs/heads/`. */
  readonly branch: string;
  /** Credentials. */
  readonly auth: RepositoryAuth;
  /** Folder of the store, which is made with mode 0700, and which nothing else uses. */
  readonly folder: string;
  /** What it may cost. */
  readonly bounds: Bounds;
  /** Certificates (PEM) that HTTPS believes besides the system's. */
  readonly caCerts?: readonly string[];
}

/** Why a repository couldn't be read. */
export type RepositoryFault =
  /** No answer, no connection, too slow. */
  | "unreachable"
  /** Credentials or host key refused. */
  | "denied"
  /** No such repository, branch, commit or folder. */
  | "missing"
  /** More than a bound allows. */
  | "bound"
  /** A name or a kind of entry that isn't accepted. */
  | "name"
  /** A program that is needed isn't installed. */
  | "program"
  /** The URL isn't accepted. */
  | "url"
  /** What was sent, or what lies in the store, isn't what Git would send. */
  | "damaged"
  /** The store's folder can't be written. */
  | "disk"
  /** The caller ended it. */
  | "aborted";

/** A repository that couldn't be read; the message has neither credentials nor control characters. */
export class RepositoryError extends Error {
  /** As logs show it. */
  override readonly name = "RepositoryError";

  /**
   * Says what failed, and what would be right.
   *
   * @param reason what kind of failure it is, as metrics and tests tell them apart
   */
  constructor(readonly reason: RepositoryFault, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
