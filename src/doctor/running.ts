/**
 * Check of a running node by what it says of itself.
 *
 * @module
 */
import { rfc3339 } from "../clock.ts";
import type { Check } from "./check.ts";
import type { Remark } from "./finding.ts";

/** Whether the node can be relied on. */
export const running: Check = {
  id: "node",
  looksAt: "the node",
  when: "in a node",
  look: ({ node, clock }) => {
    const remarks: Remark[] = [];
    if (node === null) return remarks;
    if (node.unready !== null) {
      remarks.push({
        level: "problem",
        subject: "readiness",
        message: node.unready,
        fix: "see the log of the node; a restart makes sure that all of it runs",
      });
    }
    if (!node.isAnsweringStreams) {
      remarks.push({
        level: "problem",
        subject: "DNS over TCP",
        message: "isn't answered: its worker ended or hangs; another one is started within a minute",
        fix: "see the log of the node; restart it if this stays",
      });
    }
    const days = (node.adminTokenUntilMs - clock.unixMs()) / DAY_MS;
    if (days < TOKEN_DAYS_MIN) {
      remarks.push({
        level: days <= 0 ? "problem" : "warning",
        subject: "tokens of the API",
        message: days <= 0
          ? "none of the scope admin counts any more: the next start is refused on this address"
          : `the last one of the scope admin expires at ${
            rfc3339(node.adminTokenUntilMs)
          }: behind that, a start ` +
            "is refused on this address",
        fix: "create another one (pleiades tokens create NAME --scope admin), or set api.tokens",
      });
    }
    return remarks;
  },
};

const DAY_MS = 86_400_000;
/** A token that a machine renews is renewed by then. */
const TOKEN_DAYS_MIN = 14;
