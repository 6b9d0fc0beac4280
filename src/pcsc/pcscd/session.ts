import { DataError, utf8 } from "../../bytes/index.ts";
import { PcscError } from "../error.ts";
import type { ReaderState, ShareMode } from "../types.ts";
import { answered, type Link } from "./link.ts";
import {
  arrayOf,
  COMMAND,
  CONNECT,
  COUNT,
  ESTABLISH,
  READER,
  READER_NAME_SIZE,
  type RecordsReply,
  type Reply,
  request,
  VERSION,
} from "./protocol.ts";

const MAJOR = 4;
/** pcsc-lite 1.8.24 (2018); every later one except 2.3.0 to 2.4.0 accepts it. */
const OLDEST_MINOR = 4;
/** pcsc-lite 2.5.0. */
const NEWEST_MINOR = 6;
const SCOPE_SYSTEM = 2;
/** Limit for the number of readers: a broken daemon's count must not determine an allocation. */
const MOST_READERS = 4096;

const ATR_SIZE = 33;
const STATE_UNKNOWN = 0x01;
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
 * Negotiates a version, and returns the minor version of the daemon itself, which may be newer. Asks for 4:4 first:
 * only daemons that know 4:5 alone refuse it, and those allow a second request.
 * @throws {PcscError} SCARD_E_UNSUPPORTED_FEATURE if there is no common version.
 */
export async function greet(link: Link, minor = OLDEST_MINOR): Promise<number> {
  let theirs = await askVersion(link, minor);
  if (theirs.rv !== 0 && theirs.major === MAJOR && theirs.minor > minor) {
    // The readers may have been requested already, and no answer may come between their states and the end of those.
    await link.idle();
    theirs = await askVersion(link, Math.min(theirs.minor, NEWEST_MINOR));
  }
  // A daemon that accepts any version answers in the layout of its own version.
  if (theirs.rv === 0 && theirs.major === MAJOR && theirs.minor >= OLDEST_MINOR) return theirs.minor;
  throw new PcscError(
    "SCARD_E_UNSUPPORTED_FEATURE",
    `pcscd speaks version ${theirs.major}:${theirs.minor} of its protocol, this client ${MAJOR}:${OLDEST_MINOR} to ` +
      `${MAJOR}:${NEWEST_MINOR}; update the older of the two`,
  );
}

/** Calls {@link greet} and establishes a PC/SC context in the same round trip. */
async function establish(link: Link): Promise<{ readonly minor: number; readonly context: number }> {
  const [minor, { head }] = await Promise.all([
    greet(link),
    link
      .request(request(COMMAND.ESTABLISH_CONTEXT, ESTABLISH, { scope: SCOPE_SYSTEM }), ESTABLISH)
      .catch(refusedContext),
  ]);
  check(head.rv);
  return { minor, context: head.context };
}

/**
 * A daemon that closes the connection at the request for a context refuses this user, as does one that closes it before
 * its first answer.
 */
function refusedContext(cause: unknown): never {
  if (!(cause instanceof PcscError) || !cause.is("SCARD_E_SERVICE_STOPPED")) throw cause;
  const detail =
    "pcscd closed the connection at the request for a context: its polkit rules refuse this user, or it was being stopped";
  throw new PcscError("SCARD_W_SECURITY_VIOLATION", detail, { cause });
}

/** The reader in one entry of the daemon's array; `undefined` for a free entry. */
export function readerState(entry: ReturnType<typeof READER.decode>): ReaderState | undefined {
  if (entry.name === "") return undefined;
  return {
    name: entry.name,
    unavailable: (entry.state & STATE_UNKNOWN) !== 0,
    present: (entry.state & STATE_PRESENT) !== 0,
    mute: (entry.state & STATE_SWALLOWED) !== 0,
    sharing: entry.sharing,
    events: entry.events,
    // A length above the longest ATR means that the driver has not looked yet.
    atr: entry.atr.subarray(0, entry.atrLength > ATR_SIZE ? 0 : entry.atrLength),
  };
}

const ENTRY: Reply<ReaderState | undefined> = {
  size: READER.size,
  // Most entries are free: their first byte shows it.
  decode: (bytes) => (bytes[0] === 0 ? undefined : readerState(READER.decode(bytes))),
};

/**
 * Upstream's array has 16 entries, that of some distributions 48 (PCSCLITE_MAX_READERS_CONTEXTS), and its length is not
 * sent. The answer to a version request ends it, which begins as no reader's name does: 04 00 00 00.
 */
const STATES: RecordsReply<ReaderState | undefined> = {
  recordSize: READER.size,
  fewest: 16,
  endSize: VERSION.size,
  isEnd: (bytes) => VERSION.decode(bytes).major === MAJOR,
  decode: (bytes) => ENTRY.decode(bytes),
  most: MOST_READERS,
};

/** The array of readers in the answer to GET_READERS_STATE; free entries are `undefined`. */
export function readEntries(link: Link): Promise<readonly (ReaderState | undefined)[]> {
  const end = request(COMMAND.VERSION, VERSION, { major: MAJOR, minor: OLDEST_MINOR });
  return link.requestRecords(request(COMMAND.GET_READERS_STATE), end, STATES);
}

/** The answer to WAIT_READER_STATE_CHANGE: as many entries as {@link readEntries} returned. */
export const entries = (count: number): Reply<readonly (ReaderState | undefined)[]> => arrayOf(ENTRY, count);

/** The entries in use. */
export function readersIn(entries: readonly (ReaderState | undefined)[]): readonly ReaderState[] {
  return entries.filter((entry) => entry !== undefined);
}

/**
 * The readers now, in the daemon's order.
 * @param minor The result of {@link greet}: an array of fixed size has no room for more readers, which 4:6 can list.
 */
export async function readReaders(link: Link, minor: number | Promise<number>): Promise<readonly ReaderState[]> {
  const [found, theirs] = await Promise.all([readEntries(link), minor]);
  const readers = readersIn(found);
  if (readers.length < found.length || theirs < NEWEST_MINOR) return readers;
  const { count } = (await link.request(request(COMMAND.GET_READERS_STATE_SIZE), COUNT)).head;
  if (count < 0 || count > MOST_READERS) {
    const cause = new DataError(`reader count: ${count}`);
    throw new PcscError("SCARD_F_COMM_ERROR", "pcscd sent an answer that this client cannot parse", { cause });
  }
  const all = await link.request(request(COMMAND.GET_READERS_STATE_ARRAY), entries(count));
  return readersIn(all.head);
}

/** Milliseconds in which a slow reader powers a cold card. */
const POWER_UP = 2_000;

/** The daemon's handles and protocol of a connection, for later requests. */
export interface Handle {
  readonly link: Link;
  /** Minor version of the daemon's protocol. */
  readonly minor: number;
  readonly card: number;
  readonly reader: string;
  readonly share: ShareMode;
  readonly protocols: number;
  readonly protocol: number;
  readonly state: ReaderState | undefined;
}

/**
 * Connects to the card in a reader, over a link that is fresh and serves nothing else.
 * @param patience Milliseconds to wait for the end of another program's transaction.
 * @throws {PcscError}
 */
export async function openHandle(
  link: Link,
  { reader, share, protocols }: Pick<Handle, "reader" | "share" | "protocols">,
  patience: number,
): Promise<Handle> {
  if (reader === "" || reader.includes("\0") || utf8(reader).length >= READER_NAME_SIZE) {
    throw new PcscError("SCARD_E_UNKNOWN_READER");
  }
  const { minor, context } = await answered(link, establish(link));
  // pcscd lets CONNECT wait for the end of any transaction, for ever.
  const message = request(COMMAND.CONNECT, CONNECT, { context, reader, share, protocols });
  const attempt = async (): Promise<Handle> => {
    const [{ head }, readers] = await Promise.all([link.request(message, CONNECT), readReaders(link, minor)]);
    check(head.rv);
    const state = readers.find(({ name }) => name === reader);
    return { link, minor, card: head.card, reader, share, protocols, protocol: head.protocol, state };
  };
  // A violation means an exclusive connection, which may last long: reported at once, as libpcsclite does.
  return answered(link, attempt(), Math.max(patience, POWER_UP), () => new PcscError("SCARD_E_SHARING_VIOLATION"));
}
