/** @module The settings block `motd`: a message of the day. One of its keys is live, one waits for the next start. */
import { section } from "../../src/input/strict_object.ts";
import { mapping, text } from "../../src/settings/fields.ts";

/** A message of the day. */
export const motd = {
  shape: {
    motd: section(
      mapping({
        text: text("text").meta({
          reload: "live",
          description: "The message",
          examples: ["Freeze until Monday"],
        }),
        author: text("author").meta({ description: "Who says so; none = no message", examples: ["alice"] }),
      }),
      "A message of the day",
    ),
  },
};
