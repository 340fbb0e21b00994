/**
 * The certificate of a server that has none of its own: an authority and a leaf that it signs, made at the first start, kept in
 * files, and the leaf made again before it ends.
 *
 * Four files lie in one folder: certificate and key as they are named, and beside them `cacert.pem` and `cakey.pem`. What was put
 * there by others is never overwritten: a leaf is renewed only if the authority here has signed it, which is
 * known by the mark of a file `.renewed`, the hash of the last leaf that was written.
 *
 * A file is written whole under another name and then renamed. The key comes before its certificate; a start that finds the one
 * without the other, or two that don't belong together, makes both again.
 *
 * @module
 */
import { createHash, X509Certificate } from "node:crypto";
import { dirname, isAbsolute, join } from "node:path";
import type { Clock } from "../clock.ts";
import { fileFault } from "../input/file_fault.ts";
import type { Logger } from "../telemetry/log.ts";
import { type Certified, makeAuthority, makeServer } from "./certificate.ts";

/** Where the files lie, and what is in them. */
export interface OwnCertificateTerms {
  /** Absolute. */
  readonly certFile: string;
  /** Absolute. */
  readonly keyFile: string;
  /** The name or address that clients ask for. */
  readonly host: string;
  /** How long a leaf is good for, milliseconds; it is renewed when two thirds have passed. */
  readonly leafMs: number;
}

/** What certificates are looked after with. */
export interface OwnCertificateNeeds {
  /** Says when they end. */
  readonly clock: Clock;
  /** Hears what is made, and what isn't in order. */
  readonly log: Logger;
}

/** How long an authority is good for, milliseconds: clients that trust it are told of another by hand. */
const AUTHORITY_MS = 10 * 365 * 86_400_000;
/** Certificates begin a little earlier than they are made, for clocks that are behind, milliseconds. */
const EARLIER_MS = 300_000;
/** Share of its life after which a leaf is renewed. */
const RENEWAL_SHARE = 2 / 3;
/** How often is looked, milliseconds. */
const LOOK_MS = 3_600_000;
/** A private key is its owner's alone. */
const MODE = 0o600;
const AUTHORITY_NAME = "Pleiades distribution authority";

/** A leaf that can be served, for as long as it is looked after. */
export class OwnCertificate {
  readonly #terms: OwnCertificateTerms;
  readonly #needs: OwnCertificateNeeds;
  #current: Certified;

  private constructor(terms: OwnCertificateTerms, needs: OwnCertificateNeeds, current: Certified) {
    this.#terms = terms;
    this.#needs = needs;
    this.#current = current;
  }

  /**
   * Finds the files, or makes them.
   *
   * @throws {Error} when a path is relative, or a file can't be read, written or served
   */
  static async open(terms: OwnCertificateTerms, needs: OwnCertificateNeeds): Promise<OwnCertificate> {
    for (const path of [terms.certFile, terms.keyFile]) {
      if (!isAbsolute(path)) throw new Error(`The path of a certificate must be absolute, is ${path}`);
    }
    const files = filesOf(terms);
    const found = { cert: readOrNull(files.cert), key: readOrNull(files.key) };
    const isOurs = isMarked(files.mark, found.cert) || (found.cert === null) !== (found.key === null);
    if (
      found.cert !== null && found.key !== null && !(isOurs && serveFault(found.cert, found.key) !== null)
    ) {
      const fault = serveFault(found.cert, found.key);
      if (fault !== null) throw new Error(`${terms.certFile} and ${terms.keyFile} can't be served: ${fault}`);
      warnOfOpenKey(terms, needs);
      const own = new OwnCertificate(terms, needs, { cert: found.cert, key: found.key });
      await own.renewIfDue();
      return own;
    }
    // A certificate without its key is what was given, with the key forgotten; a key without one is the half of a renewal.
    if (found.cert !== null && !isMarked(files.mark, found.cert)) {
      throw new Error(
        `${terms.certFile} is there, and its key ${terms.keyFile} isn't (put it there, or remove both)`,
      );
    }
    return new OwnCertificate(terms, needs, await makeLeaf(terms, needs));
  }

  /** The one to be served now. */
  get current(): Certified {
    return this.#current;
  }

  /** When it ends, Unix milliseconds. */
  get endMs(): number {
    return Date.parse(new X509Certificate(this.#current.cert).validTo);
  }

  /** Makes the leaf again when it is time, if it is ours; whether it has. */
  async renewIfDue(): Promise<boolean> {
    const { clock, log } = this.#needs;
    const { certFile } = this.#terms;
    const { validFrom, validTo } = new X509Certificate(this.#current.cert);
    const [fromMs, untilMs] = [Date.parse(validFrom) + EARLIER_MS, Date.parse(validTo)];
    if (clock.unixMs() < fromMs + (untilMs - fromMs) * RENEWAL_SHARE) return false;
    if (!isMarked(filesOf(this.#terms).mark, readOrNull(certFile))) {
      log.warn("A certificate ends that wasn't made here; replace it", { file: certFile, ends: validTo });
      return false;
    }
    try {
      this.#current = await makeLeaf(this.#terms, this.#needs);
      return true;
    } catch (error) {
      log.error("The certificate can't be renewed", { file: certFile, ends: validTo, error });
      return false;
    }
  }

  /** Renews until `signal` is aborted. @param onRenewed told of each other one */
  async keep(onRenewed: (current: Certified) => void, signal: AbortSignal): Promise<void> {
    const { clock } = this.#needs;
    const lookMs = Math.min(LOOK_MS, this.#terms.leafMs / 20);
    while (!signal.aborted) {
      await clock.sleep(lookMs, signal);
      if (!signal.aborted && await this.renewIfDue()) onRenewed(this.#current);
    }
  }
}

interface Files {
  readonly cert: string;
  readonly key: string;
  readonly authority: string;
  readonly authorityKey: string;
  readonly mark: string;
}

function filesOf({ certFile, keyFile }: OwnCertificateTerms): Files {
  const beside = dirname(certFile);
  return {
    cert: certFile,
    key: keyFile,
    authority: join(beside, "cacert.pem"),
    authorityKey: join(beside, "cakey.pem"),
    mark: `${certFile}.renewed`,
  };
}

async function makeLeaf(terms: OwnCertificateTerms, needs: OwnCertificateNeeds): Promise<Certified> {
  const { host, leafMs } = terms;
  const { clock, log } = needs;
  const files = filesOf(terms);
  const nowMs = clock.unixMs();
  const fromMs = nowMs - EARLIER_MS;
  const authority = await authorityOf(files, fromMs);
  const leaf = await makeServer(host, {
    authority: { ...authority, name: AUTHORITY_NAME },
    validity: { fromMs, untilMs: nowMs + leafMs },
  });
  // The mark first: whichever file a start finds then, it knows that it may write both again.
  write(files.mark, hashOf(leaf.cert));
  write(files.key, leaf.key);
  write(files.cert, leaf.cert);
  log.info("Made a certificate", { file: files.cert, host, ends: new Date(nowMs + leafMs).toISOString() });
  return leaf;
}

/** That which is there, or another where there is none. @throws {Error} when only one of its files is there */
async function authorityOf({ authority, authorityKey }: Files, fromMs: number): Promise<Certified> {
  const found = { cert: readOrNull(authority), key: readOrNull(authorityKey) };
  if (found.cert !== null && found.key !== null) return { cert: found.cert, key: found.key };
  if (found.cert !== null) {
    throw new Error(
      `${authority} is there, and its key ${authorityKey} isn't (put it there, or remove both)`,
    );
  }
  const made = await makeAuthority(AUTHORITY_NAME, { fromMs, untilMs: fromMs + AUTHORITY_MS });
  write(authorityKey, made.key);
  write(authority, made.cert);
  return made;
}

/** A key that others may read is one no longer. */
function warnOfOpenKey({ keyFile }: OwnCertificateTerms, { log }: OwnCertificateNeeds): void {
  const mode = Deno.statSync(keyFile).mode ?? 0;
  if ((mode & 0o077) === 0) return;
  log.warn("Other users may use a private key", { file: keyFile, fix: `chmod go= ${keyFile}` });
}

/** Whether the file was written here. */
function isMarked(mark: string, cert: string | null): boolean {
  return cert !== null && readOrNull(mark) === hashOf(cert);
}

function hashOf(cert: string): string {
  return createHash("sha256").update(cert).digest("hex");
}

function readOrNull(path: string): string | null {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    if (!(error instanceof Error)) throw error;
    throw new Error(`${path} can't be read: ${fileFault(error)}`, { cause: error });
  }
}

/** Whole or not at all, and for its owner alone whatever the mask is. */
function write(path: string, text: string): void {
  const other = `${path}.new`;
  try {
    // One that was left behind may have another mode, and may be a link.
    Deno.removeSync(other);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const file = Deno.openSync(other, { write: true, createNew: true, mode: MODE });
  try {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
    file.syncSync();
  } finally {
    file.close();
  }
  Deno.renameSync(other, path);
}

/** Why a server can't serve with these two; `null` = it can. */
function serveFault(cert: string, key: string): string | null {
  try {
    Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key }).close();
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
