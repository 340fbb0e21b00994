/**
 * The command line of `pleiades query`. What it does is in `query.ts`, which is loaded when it runs.
 *
 * @module
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { addOutputOption, type CommandContext, examples, milliseconds } from "./command_line.ts";
import type { QueryFlags } from "./query.ts";

/** Adds `query`; `done` gets its exit code. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  const command = root.command("query")
    .description("ask a DNS server, like a small dig")
    .argument(
      "<words...>",
      "NAME [TYPE] [CLASS] [@ADDR:PORT] in any order; A, IN and @127.0.0.1:5353 if left out",
    )
    .option("--ecs <prefix>", "client subnet to send (RFC 7871), such as 192.0.2.0/24")
    .option("--tcp", "ask over TCP at once instead of after a truncated answer")
    .addOption(
      new Option("--bufsize <bytes>", "largest answer over UDP; 0 = a query without EDNS")
        .argParser(udpSize).default(1232),
    )
    .addOption(
      new Option("--timeout <duration>", "longest wait for the answer").argParser(timeout).default(
        2000,
        "2s",
      ),
    );
  addOutputOption(command, ["text", "json", "short"])
    .addHelpText("after", EXAMPLES)
    .action(async (words: string[], flags: QueryFlags) =>
      done(await (await import("./query.ts")).query(words, flags, terminal))
    );
}

const EXAMPLES = `${
  examples(
    "pleiades query www.example.com",
    "pleiades query @127.0.0.1:5353 www.example.com AAAA --ecs 198.51.100.0/24",
    "pleiades query example.com SOA @192.0.2.53 --tcp -o short",
  )
}

An address without a port means port 53. The exit code is 0 for an answer,
whatever it says, and 1 for none.`;

/** Below 512 a size means 512 (RFC 6891 §6.2.3), so it makes no sense. */
function udpSize(text: string): number {
  const size = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (size === 0 || (size >= 512 && size <= 0xffff)) return size;
  throw new InvalidArgumentError("It must be 512–65535, or 0 for a query without EDNS.");
}

function timeout(text: string): number {
  const ms = milliseconds(text);
  if (ms >= 1 && ms <= TIMEOUT_MS_MAX) return ms;
  throw new InvalidArgumentError("It must be from 1ms to 1h.");
}

const TIMEOUT_MS_MAX = 3_600_000;
