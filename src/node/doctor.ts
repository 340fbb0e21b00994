/**
 * What a node knows of itself, for the checks that it makes when it is asked how it is.
 *
 * @module
 */
import { kernelDrops } from "../dns/kernel_drops.ts";
import { Doctor } from "../doctor/doctor.ts";
import { ownRights } from "../doctor/rights.ts";
import type { DnsWorkers } from "./dns_workers.ts";
import type { OpenGround } from "./ground.ts";
import { needsToken, unreadiness } from "./http.ts";

/** Examines this node. */
export function nodeDoctor(ground: OpenGround, { fleet }: Pick<DnsWorkers, "fleet">): Doctor {
  const { settings, clock, store } = ground;
  return new Doctor(() => ({
    settings: settings(),
    ...{ secretFiles: [], settingsFile: null },
    clock,
    rights: ownRights("soft"),
    node: {
      unready: unreadiness(ground, fleet),
      isAnsweringStreams: fleet.isAnsweringStreams,
      transport: fleet.transport,
      listening: fleet.addresses,
      kernelDrops: kernelDrops(fleet.addresses),
      adminTokenUntilMs: needsToken(settings()) ? store.tokens.adminUntil() : Infinity,
      members: store.counts().members,
      targets: store.resolvedNames.targets(),
    },
  }));
}
