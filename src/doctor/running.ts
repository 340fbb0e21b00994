/**
 * Check of a running node by what it says of itself.
 *
 * @module
 */
import type { Check } from "./check.ts";
import type { Remark } from "./finding.ts";

/** Whether the node can be relied on. */
export const running: Check = {
  id: "node",
  looksAt: "the node",
  when: "in a node",
  look: ({ node }) => {
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
    return remarks;
  },
};
