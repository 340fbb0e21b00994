/**
 * A wall clock that is wrong, and jumps: for one process alone, by a library that the loader puts before the system's own. Its
 * monotonic clock stays as it is, as on a machine whose clock is set.
 *
 * @module
 */
import { run } from "../../../scripts/process.ts";
import { program } from "../../programs.ts";

/** Adds what a file says, milliseconds, to whatever asks for the time of day. */
const SOURCE = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static int (*real)(clockid_t, struct timespec *);
static volatile long long *offset;

static void prepare(void) {
  if (real) return;
  const char *path = getenv("SET_CLOCK");
  int file = path ? open(path, O_RDONLY) : -1;
  void *mapped = file < 0 ? MAP_FAILED : mmap(0, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
  if (mapped != MAP_FAILED) offset = mapped;
  real = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
}

int clock_gettime(clockid_t id, struct timespec *at) {
  prepare();
  int result = real(id, at);
  if (result == 0 && offset && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
    long long nanos = at->tv_sec * 1000000000LL + at->tv_nsec + *offset * 1000000LL;
    at->tv_sec = nanos / 1000000000LL;
    at->tv_nsec = nanos % 1000000000LL;
  }
  return result;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
  struct timespec now;
  (void) zone;
  int result = clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return result;
}

time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}
`;

/** The clock of one process. */
export class SetClock {
  readonly #file: string;
  /** What the process has to be started with. */
  readonly env: Readonly<Record<string, string>>;

  private constructor(file: string, library: string) {
    this.#file = file;
    this.env = { LD_PRELOAD: library, SET_CLOCK: file };
  }

  /** Makes one that is right; its files lie in the folder. @throws {Error} when this machine has no C compiler */
  static async make(folder: string): Promise<SetClock> {
    const [source, library, file] = [`${folder}/set_clock.c`, `${folder}/set_clock.so`, `${folder}/offset`];
    await Deno.writeTextFile(source, SOURCE);
    const cc = program("cc");
    if (cc === null) throw new Error("cc is missing (Debian: apt-get install gcc)");
    const { code, output } = await run(cc, ["-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], {
      quiet: true,
    });
    if (code !== 0) throw new Error(`The clock can't be compiled: ${output}`);
    await Deno.writeFile(file, new Uint8Array(8));
    return new SetClock(file, library);
  }

  /** Sets it, from the right time. */
  async set(offsetMs: number): Promise<void> {
    using file = await Deno.open(this.#file, { write: true });
    await file.write(new Uint8Array(new BigInt64Array([BigInt(offsetMs)]).buffer));
  }
}
