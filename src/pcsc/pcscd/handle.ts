import { utf8 } from "../../bytes/index.ts";
import { PcscError } from "../error.ts";
import type { ShareMode } from "../constants.ts";
import type { ReaderState } from "../types.ts";
import { answered } from "./answered.ts";
import type { Link } from "./link.ts";
import { COMMAND, CONNECT, READER_NAME_SIZE, request } from "./messages.ts";
import { check, establish, readReaders } from "./session.ts";

/** A cold card behind a slow reader may take this long to be powered, in milliseconds. */
const POWER_UP = 2_000;

/** What the daemon gave when it connected: everything that later requests refer to. */
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
  // pcscd keeps CONNECT waiting for the end of any transaction, without an end of its own.
  const message = request(COMMAND.CONNECT, CONNECT, { context, reader, share, protocols });
  const attempt = async (): Promise<Handle> => {
    const [{ head }, readers] = await Promise.all([link.request(message, CONNECT), readReaders(link, minor)]);
    check(head.rv);
    const state = readers.find(({ name }) => name === reader);
    return { link, minor, card: head.card, reader, share, protocols, protocol: head.protocol, state };
  };
  // A violation is somebody's exclusive connection, which lasts as long as its program wants: told at once, as libpcsclite does.
  return answered(link, attempt(), Math.max(patience, POWER_UP), () => new PcscError("SCARD_E_SHARING_VIOLATION"));
}
