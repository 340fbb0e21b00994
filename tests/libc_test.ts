/** @module Who has the C library open shares what is loaded of it. */
import { equal, notEqual, throws } from "node:assert/strict";
import { keepLibc, openLibc } from "../src/libc.ts";

const GETPID = { getpid: { parameters: [], result: "i32" } } as const;
const BOTH = { ...GETPID, getppid: { parameters: [], result: "i32" } } as const;
const ignore = Deno.build.os !== "linux";

Deno.test({
  name: "a symbol is loaded once for all who have it open, and closed with the last of them",
  ignore,
  fn: () => {
    const first = openLibc(GETPID);
    const second = openLibc(BOTH);
    equal(second.symbols.getpid, first.symbols.getpid);
    first.close();
    first.close(); // a second time it counts for nobody
    equal(second.symbols.getpid(), Deno.pid);
    const { getpid } = second.symbols;
    second.close();
    using third = openLibc(GETPID);
    notEqual(third.symbols.getpid, getpid);
  },
});

Deno.test({
  name: "what is kept is loaded no second time",
  ignore,
  fn: () => {
    using _kept = keepLibc();
    const first = openLibc(GETPID);
    const { getpid } = first.symbols;
    first.close();
    using second = openLibc(GETPID);
    equal(second.symbols.getpid, getpid);
  },
});

Deno.test({
  name: "the same name with another signature is another symbol",
  ignore,
  fn: () => {
    using own = openLibc(GETPID);
    using other = openLibc({ getpid: { parameters: [], result: "u32" } });
    notEqual(other.symbols.getpid as unknown, own.symbols.getpid);
  },
});

Deno.test({
  name: "a name that the library hasn't is refused, and leaves nothing open",
  ignore,
  fn: () => {
    throws(() => openLibc({ no_such_symbol: { parameters: [], result: "i32" } }), /no_such_symbol/);
  },
});
