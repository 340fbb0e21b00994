/**
 * What map-file text is read as, and what is said of its faults.
 *
 * @module
 */
import { deepEqual, equal } from "node:assert/strict";
import fc from "fast-check";
import { type AddressLists, LINE, MAP_FILE_SIZE_MAX, readMapText } from "../../src/geo/map_file_text.ts";
import { validatePaths } from "../../src/cli/validate.ts";
import { formatProblem } from "../../src/input/yaml_source.ts";
import { formatIp, formatPrefix, parseIp, parsePrefix } from "../../src/ip.ts";

Deno.test("every fault is told with its line, its column and the mend", () => {
  const rows: [line: string, problem: string | null][] = [
    ["", null],
    ["  \t # only a comment", null],
    ["10.0.0.0/8 192.0.2.1", null],
    ["\t10.1.0.0/16\t \t192.0.2.1,2001:db8::1#comment\r", null],
    ["0.0.0.0/0 192.0.2.1", null],
    ["::/0 ::1", null],
    ["2001:DB8::192.0.2.0/120 ::ffff:192.0.2.7", null],
    ["192.0.2.1 192.0.2.1", null],
    [
      "x 192.0.2.1",
      `1: "x" is no IP address (write such as 192.0.2.0/24 or 2001:db8::/32)`,
    ],
    [
      "10.0.0.256/8 192.0.2.1",
      `1: "10.0.0.256" is no IP address (write such as 192.0.2.0/24 or 2001:db8::/32)`,
    ],
    [
      "010.0.0.0/8 192.0.2.1",
      `1: "010.0.0.0" is no IP address (write such as 192.0.2.0/24 or 2001:db8::/32)`,
    ],
    [
      "  10.0.0.0/33 192.0.2.1",
      `11: "/33" is no length of an IPv4 prefix (write /0 to /32)`,
    ],
    [
      "::ffff:c000:200/120 192.0.2.1",
      `16: "/120" is no length of an IPv4 prefix (write /0 to /32)`,
    ],
    [
      "10.0.0.0/ 192.0.2.1",
      `9: "/" is no length of an IPv4 prefix (write /0 to /32)`,
    ],
    [
      "10.0.0.0/8/8 192.0.2.1",
      `9: "/8/8" is no length of an IPv4 prefix (write /0 to /32)`,
    ],
    [
      "2001:db8::/-1 192.0.2.1",
      `11: "/-1" is no length of an IPv6 prefix (write /0 to /128)`,
    ],
    [
      "10.0.0.1/8 192.0.2.1",
      `1: "10.0.0.1/8" has bits set behind its length (did you mean 10.0.0.0/8?)`,
    ],
    [
      "2001:db8::1/64 192.0.2.1",
      `1: "2001:db8::1/64" has bits set behind its length (did you mean 2001:db8::/64?)`,
    ],
    ["10.0.0.0/8", `11: "10.0.0.0/8" has no address (write CIDR ADDRESS[,ADDRESS…])`],
    ["10.0.0.0/8 # to nobody", `11: "10.0.0.0/8" has no address (write CIDR ADDRESS[,ADDRESS…])`],
    [
      "10.0.0.0/8 www.example.com",
      `12: "www.example.com" is no IP address (write such as 192.0.2.1 or 2001:db8::1)`,
    ],
    [
      "10.0.0.0/8 192.0.2.1,192.0.2.1234,192.0.2.3",
      `22: "192.0.2.1234" is no IP address (write such as 192.0.2.1 or 2001:db8::1)`,
    ],
    ["10.0.0.0/8 192.0.2.1,", "22: an address is missing beside the comma (write ADDRESS[,ADDRESS…])"],
    ["10.0.0.0/8 ,192.0.2.1", "12: an address is missing beside the comma (write ADDRESS[,ADDRESS…])"],
    ["10.0.0.0/8 192.0.2.1,::ffff:192.0.2.1", `22: "::ffff:192.0.2.1" is named twice (leave one out)`],
    [
      "10.0.0.0/8 192.0.2.1 192.0.2.2",
      `22: "192.0.2.2" follows the addresses ` +
      "(separate addresses by a comma without blanks, begin a comment with #)",
    ],
    [
      "grüße\u0007 192.0.2.1",
      `1: "grüße\\u0007" is no IP address (write such as 192.0.2.0/24 or 2001:db8::/32)`,
    ],
  ];
  deepEqual(rows.map(([line]) => [line, problemsOf(`\n${line}`)[0]?.replace(/^2:/, "") ?? null]), rows);
});

Deno.test("columns count characters as editors do, not bytes", () => {
  deepEqual(problemsOf("10.0.0.0/8 192.0.2.1 ü ü\n10.0.0.0/8 192.0.2.1,ü,x"), [
    `1:22: "ü" follows the addresses ` +
    "(separate addresses by a comma without blanks, begin a comment with #)",
    `2:22: "ü" is no IP address (write such as 192.0.2.1 or 2001:db8::1)`,
  ]);
});

Deno.test("the same prefix twice is told at the later line, which names the earlier one", () => {
  const text = "10.0.0.0/8 192.0.2.1\n# other\n2001:db8::/32 192.0.2.1\n10.0.0.0/8 192.0.2.2\n" +
    "10.0.0.0/9 192.0.2.1\n   2001:DB8:0::/32 192.0.2.3\n10.0.0.0/08 192.0.2.1\n";
  deepEqual(problemsOf(text), [
    `4:1: "10.0.0.0/8" is in line 1 already (keep one of the two)`,
    `6:4: "2001:DB8:0::/32" is in line 3 already (keep one of the two)`,
    `7:1: "10.0.0.0/08" is in line 4 already (keep one of the two)`,
  ]);
});

Deno.test("all kinds of faults are told at once, in the order of lines, up to twenty", () => {
  const text = ["10.0.0.0/8 192.0.2.1", "10.0.0.0/8 192.0.2.1", ...Array(30).fill("x y")].join("\n");
  const problems = problemsOf(text);
  equal(problems.length, 20);
  deepEqual(problems.slice(0, 2).map((problem) => problem.split(" ")[0]), ["2:1:", "3:1:"]);
  equal(problems.filter((problem) => problem.startsWith("3:")).length, 2);
});

Deno.test("a byte-order mark is skipped, and UTF-16 is told by its own", () => {
  deepEqual(problemsOf("\ufeff10.0.0.0/8 x"), [
    `1:12: "x" is no IP address (write such as 192.0.2.1 or 2001:db8::1)`,
  ]);
  const { problems } = readMapText(new Uint8Array([0xff, 0xfe, 0x31, 0]));
  deepEqual(problems, [{ line: 1, column: 1, message: "the file is UTF-16 (save it as UTF-8)" }]);
});

Deno.test("what a rule names, and how large a file is, is bounded", () => {
  const many = Array.from({ length: 257 }, (_, i) => `10.0.${i >> 8}.${i & 255}`).join(",");
  deepEqual(problemsOf(`10.0.0.0/8 ${many}`), [
    "1:2718: a rule names more than 256 addresses (leave some out)",
  ]);
  const { problems } = readMapText(new Uint8Array(MAP_FILE_SIZE_MAX + 1));
  equal(problems[0]?.message, "the file has 512000001 bytes, at most 512000000 are read (join prefixes)");
});

Deno.test("addresses and prefixes are read as ip.ts reads them, whatever their spelling", () => {
  const piece = fc.oneof(
    fc.constantFrom("0", "1", "ffff", "00", "FF", "12345", "::", ":", ".", "255", "256", "192.0.2.1", "g"),
  );
  const spelled = fc.oneof(
    fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join("")),
    fc.array(piece, { minLength: 1, maxLength: 9 }).map((pieces) => pieces.join(":")),
    fc.ipV6(),
    fc.ipV4(),
  ).filter((text) => text !== "");
  fc.assert(
    fc.property(spelled, (text) => {
      const parsed = parseIp(text);
      const { rules, problems } = readMapText(new TextEncoder().encode(`::/0 ${text}`));
      equal(problems.length === 0, parsed !== null);
      if (parsed) equal(firstAddress(rules.lists), formatIp(parsed));
    }),
    { numRuns: 5000 },
  );
});

Deno.test("whatever the text, rules come sorted and each problem stands in its line", () => {
  const word = fc.constantFrom(
    "10.0.0.0/8",
    "10.1.0.0/16",
    "::/0",
    "192.0.2.1",
    ",",
    "#",
    " ",
    "/",
    "\t",
    "\r",
    "ü",
    "\u0000",
  );
  const text = fc.array(fc.array(word, { maxLength: 6 }), { maxLength: 8 })
    .map((lines) => lines.map((line) => line.join("")).join("\n"));
  fc.assert(
    fc.property(text, (text) => {
      const lines = text.split("\n");
      const { rules, problems } = readMapText(new TextEncoder().encode(text));
      for (const { line, column } of problems) {
        equal(
          line >= 1 && line <= lines.length && column >= 1 && column <= lines[line - 1]!.length + 1,
          true,
        );
      }
      const { rows, order } = rules.ipv4;
      const prefixes = [...order].map((row) => {
        const line = lines[rows.words[row * rows.stride + LINE]! - 1]!;
        return formatPrefix(parsePrefix(line.trim().split(/\s/)[0]!));
      });
      deepEqual(prefixes, prefixes.toSorted((a, b) => a < b ? -1 : a > b ? 1 : 0));
    }),
    { numRuns: 1000 },
  );
});

Deno.test("config validate lists the faults of the map file that the settings name", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(
      `${folder}/pleiades.yaml`,
      "dns: { port: 70000 }\nmapFile: { path: clients.map }\n",
    );
    await Deno.writeTextFile(
      `${folder}/clients.map`,
      "10.0.0.0/8 192.0.2.1\n\n10.0.0.0/8 192.0.2.2\n10.0.0.1/8 192.0.2\n",
    );
    const { problems } = (await validatePaths([`${folder}/pleiades.yaml`], {}))[0]!;
    deepEqual(problems.map((problem) => formatProblem(problem).replace(`${folder}/`, "").split(" (")[0]), [
      `clients.map:3:1: "10.0.0.0/8" is in line 1 already`,
      `clients.map:4:1: "10.0.0.1/8" has bits set behind its length`,
      `clients.map:4:12: "192.0.2" is no IP address`,
      "pleiades.yaml:1:14: port must be 1–65535, is 70000",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

function problemsOf(text: string): string[] {
  return readMapText(new TextEncoder().encode(text)).problems.map(
    ({ line, column, message }) => `${line}:${column}: ${message}`,
  );
}

function firstAddress({ words }: AddressLists): string {
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 16; i++) bytes[i] = words[i >> 2]! >>> (24 - 8 * (i & 3));
  return formatIp(parseIp(formatIp(bytes))!);
}
