/**
 * A certificate and its private key, named by two keys of the settings: both or none, and fit to be served.
 *
 * @module
 */
import type { z } from "zod";
import { refuse, together } from "../input/fields.ts";
import { PEM_BYTES_MAX } from "../input/regular_file.ts";
import type { Path } from "../input/yaml_source.ts";
import type { Loading } from "./loading.ts";
import { pemFault } from "./pem.ts";

/** The files of a certificate and its key, both or none. */
export interface TlsFiles {
  /** PEM, the server's own certificate first. */
  readonly certFile: string | null;
  /** PEM. */
  readonly keyFile: string | null;
}

/** What was read of them, PEM texts. */
export interface TlsTexts {
  /** The chain. */
  readonly cert: string;
  /** The key. */
  readonly key: string;
}

/** The check that both are given, or none. */
export const BOTH_OR_NONE: z.core.$ZodCheck<TlsFiles> = together<TlsFiles>(
  ["certFile", "keyFile"],
  (payload) => {
    const { certFile, keyFile } = payload.value;
    if ((certFile === null) === (keyFile === null)) return;
    const missing = certFile === null ? "certFile" : "keyFile";
    refuse(payload, `${missing} is required because the other file is set (give both or none)`, [missing]);
  },
);

/**
 * Reads both and makes sure that TLS can be served with them.
 *
 * @param section where the two keys stand
 * @returns absolute paths, and the texts where there are any
 */
export function servable(
  { certFile, keyFile }: TlsFiles,
  section: Path,
  loading: Loading,
): { readonly files: TlsFiles; readonly texts: TlsTexts | null } {
  const at = (key: keyof TlsFiles) => [...section, key];
  const cert = certFile === null ? null : loading.readText(at("certFile"), certFile, PEM_BYTES_MAX);
  const key = keyFile === null ? null : loading.readText(at("keyFile"), keyFile, PEM_BYTES_MAX);
  const fault = cert !== null && key !== null ? pemFault({ cert, key }, loading.outside.tlsRefusal) : null;
  if (fault !== null) {
    loading.problem(at(fault.key), `${fault.key === "certFile" ? certFile : keyFile} ${fault.reason}`);
  }
  return {
    files: {
      certFile: certFile === null ? null : loading.resolve(at("certFile"), certFile),
      keyFile: keyFile === null ? null : loading.resolve(at("keyFile"), keyFile),
    },
    texts: cert !== null && key !== null ? { cert, key } : null,
  };
}
