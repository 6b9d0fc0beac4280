import { DataError } from "../../bytes/index.ts";
import { PcscError } from "../error.ts";
import type { ReaderState } from "../types.ts";
import type { Link } from "./link.ts";
import { arrayOf, COMMAND, COUNT, ESTABLISH, READER, READERS_FIXED, type Reply, request, VERSION } from "./messages.ts";

const MAJOR = 4;
/** pcsc-lite 1.8.24 (2018), and what every later one but 2.3.0 to 2.4.0 accepts. */
const OLDEST_MINOR = 4;
/** pcsc-lite 2.5.0. */
const NEWEST_MINOR = 6;
const SCOPE_SYSTEM = 2;
/** More readers than this are no machine's: a broken daemon's count must not become memory. */
const MOST_READERS = 4096;

const ATR_SIZE = 33;
const STATE_PRESENT = 0x04;
const STATE_SWALLOWED = 0x08;

/** @throws {PcscError} unless `rv` is SCARD_S_SUCCESS. */
export function check(rv: number): void {
  if (rv !== 0) throw new PcscError(rv);
}

async function askVersion(link: Link, minor: number): Promise<ReturnType<typeof VERSION.decode>> {
  return (await link.request(request(COMMAND.VERSION, VERSION, { major: MAJOR, minor }), VERSION)).head;
}

/**
 * Agrees on a version, and returns the minor version of the daemon itself, which may be newer. 4:4 is asked for first:
 * only the daemons that know 4:5 and nothing else refuse it, and leave the connection open for a second question.
 * @throws {PcscError} SCARD_E_UNSUPPORTED_FEATURE if there is no common version.
 */
export async function greet(link: Link, minor = OLDEST_MINOR): Promise<number> {
  let theirs = await askVersion(link, minor);
  if (theirs.rv !== 0 && theirs.major === MAJOR && theirs.minor > minor) {
    theirs = await askVersion(link, Math.min(theirs.minor, NEWEST_MINOR));
  }
  if (theirs.rv === 0) return theirs.minor;
  throw new PcscError(
    "SCARD_E_UNSUPPORTED_FEATURE",
    `pcscd speaks version ${theirs.major}:${theirs.minor} of its protocol, this client ${MAJOR}:${OLDEST_MINOR} to ` +
      `${MAJOR}:${NEWEST_MINOR}; bring the older of the two up to date`,
  );
}

/** {@link greet}, and a context of PC/SC in the same round trip. */
export async function establish(link: Link): Promise<{ readonly minor: number; readonly context: number }> {
  const [minor, { head }] = await Promise.all([
    greet(link),
    link.request(request(COMMAND.ESTABLISH_CONTEXT, ESTABLISH, { scope: SCOPE_SYSTEM }), ESTABLISH),
  ]);
  check(head.rv);
  return { minor, context: head.context };
}

/** The reader in one entry of the daemon's array; `undefined` for a free one. */
export function readerState(entry: ReturnType<typeof READER.decode>): ReaderState | undefined {
  if (entry.name === "") return undefined;
  return {
    name: entry.name,
    present: (entry.state & STATE_PRESENT) !== 0,
    mute: (entry.state & STATE_SWALLOWED) !== 0,
    sharing: entry.sharing,
    events: entry.events,
    // A length above the longest ATR says that the driver has not looked yet.
    atr: entry.atr.subarray(0, entry.atrLength > ATR_SIZE ? 0 : entry.atrLength),
  };
}

const ENTRY: Reply<ReaderState | undefined> = {
  size: READER.size,
  // Most entries are free: nothing but their first byte is worth reading.
  decode: (bytes) => (bytes[0] === 0 ? undefined : readerState(READER.decode(bytes))),
};

/** The array that WAIT_READER_STATE_CHANGE and GET_READERS_STATE answer; free entries come back as `undefined`. */
export const READER_STATES = arrayOf(ENTRY, READERS_FIXED);

/** The entries in use. */
export function readersIn(entries: readonly (ReaderState | undefined)[]): readonly ReaderState[] {
  return entries.filter((entry) => entry !== undefined);
}

/**
 * The readers now, in the daemon's order.
 * @param minor What {@link greet} told: the array of 16 has no room for more readers, which 4:6 can list.
 */
export async function readReaders(link: Link, minor: number | Promise<number>): Promise<readonly ReaderState[]> {
  const states = link.request(request(COMMAND.GET_READERS_STATE), READER_STATES);
  const [{ head }, theirs] = await Promise.all([states, minor]);
  const readers = readersIn(head);
  if (readers.length < READERS_FIXED || theirs < NEWEST_MINOR) return readers;
  const { count } = (await link.request(request(COMMAND.GET_READERS_STATE_SIZE), COUNT)).head;
  if (count < 0 || count > MOST_READERS) {
    const cause = new DataError(`reader count: ${count}`);
    throw new PcscError("SCARD_F_COMM_ERROR", "pcscd sent what this client cannot read", { cause });
  }
  const all = await link.request(request(COMMAND.GET_READERS_STATE_ARRAY), arrayOf(ENTRY, count));
  return readersIn(all.head);
}
