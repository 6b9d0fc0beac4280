import { type ResponseApdu, StatusError, SW } from "../../apdu/index.ts";
import type { CallOptions } from "../../async/index.ts";
import { utf8, wipe } from "../../bytes/index.ts";
import { type Card, CardError, UnsupportedError } from "../../card/index.ts";
import { selected } from "../files/card-session.ts";
import { createFile, select, SELECT_ANSWER, SELECT_BY, updateBinary } from "../files/commands.ts";
import { selectByName } from "../files/session.ts";
import { encodeNewPin, encodePin } from "../pins/pin-encoding.ts";
import type { PinEntry } from "../syntax/authentication.ts";
import { writeFailure } from "../writing/allocation.ts";
import type { Send, TokenLife, Variables } from "./life.ts";
import { aodf, efDir, FILE, type NewContents, type NewDirectory, odf, pathOf, tokenInfo } from "./layout.ts";

/** How cards of a make become PKCS #15 tokens, and empty again. Each step may be repeated after an interruption. */
export interface Initialisation {
  readonly make: string;
  readonly manufacturer: string;
  /** The name that selects the card's file system. */
  readonly aid: Uint8Array;
  /** The PINs of a new token, for its AODF. */
  readonly pins: readonly PinEntry[];
  /** The one of them, or the PUK, that C_InitToken takes. */
  readonly officer: PinEntry;
  /** The one that C_ResetToken takes. */
  readonly eraser: PinEntry;
  /** The one that C_InitPIN sets. */
  readonly user: PinEntry;
  readonly directories: readonly NewDirectory[];
  /** Bytes of the files that are no directories. */
  readonly sizes: { readonly odf: number; readonly tokenInfo: number; readonly dir: number };
  /** The control parameters of a new transparent file, as the data of CREATE FILE. */
  readonly file: (id: number, size: number) => Uint8Array;
  /** Those of the application's DF, on makes that do not always have one. */
  readonly applicationDf?: Uint8Array;
  serialNumber(send: Send): Promise<Uint8Array>;
  /**
   * Deletes all files.
   * @param pin Of the officer or, if `user` says so, of the user, encoded. Unused while the card has no PIN.
   * @throws {PinError} for the PIN; {UnsupportedError} if the card does not let itself be erased.
   */
  clear(send: Send, pin: Uint8Array, by: "so" | "user"): Promise<void>;
  /** Gives an empty card the officer's PIN or PUK, encoded. */
  setOfficer(send: Send, pin: Uint8Array, variables: Variables): Promise<void>;
  /**
   * Sets the user's first PIN, encoded.
   * @param officer The officer's PIN or PUK, in characters.
   * @throws {PinError} for the officer's; {UnsupportedError} if the card is beyond that.
   */
  setUser(send: Send, pin: Uint8Array, officer: Uint8Array | undefined, variables: Variables): Promise<void>;
}

/** {@link Initialisation} as a part of a dialect. */
export function fileTokenLife(make: Initialisation): TokenLife {
  return {
    make: make.make,
    manufacturer: make.manufacturer,
    officer: make.officer,
    initToken: (card, soPin, label, variables, options) => initialise(card, make, soPin, label, variables, options),
    resetToken: (card, pin, options) => clear(card, make, pin, options),
    setUser: (send, pin, officer, variables) => make.setUser(send, pin, officer, variables),
    encodeUser: (pin) => encodeNewPin(make.user, pin),
  };
}

/**
 * Makes the card an empty token. Whatever happens on the way, the same call completes it: the ODF, which makes the card a
 * PKCS #15 card, is written last.
 * @param soPin In characters.
 * @throws {PinError} for the SO PIN; {UnsupportedError}.
 */
async function initialise(
  card: Card,
  make: Initialisation,
  soPin: Uint8Array,
  label: string,
  variables: Variables,
  options?: CallOptions,
): Promise<void> {
  const room = make.sizes.tokenInfo - TOKEN_INFO_HEAD;
  if (utf8(label).length > room) throw new UnsupportedError(`the label has more than ${room} bytes`);
  const pin = encodeNewPin(make.officer, soPin);
  try {
    await withFileSystem(card, make, options, async (send) => {
      await make.clear(send, pin, "so");
      const contents = { ...make, label, serialNumber: await make.serialNumber(send) };
      await writeFiles(send, make, contents);
      await make.setOfficer(send, pin, variables);
      await writeFile(send, make, FILE.ODF, make.sizes.odf, odf(contents));
    });
  } finally {
    wipe(pin);
  }
}

/** Bytes of TokenInfo without its label, at most. */
const TOKEN_INFO_HEAD = 60;

/**
 * Deletes everything that the PIN allows to delete.
 * @throws {PinError} for the PIN; {UnsupportedError}.
 */
async function clear(card: Card, make: Initialisation, characters: Uint8Array, options?: CallOptions): Promise<void> {
  const pin = encodePin(make.eraser, characters);
  try {
    await withFileSystem(card, make, options, (send) => make.clear(send, pin, "user"));
  } finally {
    wipe(pin);
  }
}

/** Runs `work` with exclusive use of the card, whose file system is selected. */
function withFileSystem<T>(
  card: Card,
  { aid, make }: Pick<Initialisation, "aid" | "make">,
  options: CallOptions | undefined,
  work: (send: Send) => Promise<T>,
): Promise<T> {
  return card.exclusively(async ({ send }) => {
    const answer = await selectByName(send, aid);
    if (!selected(answer)) throw new StatusError(`SELECT of ${make}`, answer.sw);
    return work((command) => send(command));
  }, options);
}

/** Everything but the ODF. New files of these makes are filled with zeros: an empty directory needs no writing. */
async function writeFiles(send: Send, make: Initialisation, contents: NewContents): Promise<void> {
  await enter(send);
  await writeFile(send, make, FILE.DIR, make.sizes.dir, efDir(contents));
  if (make.applicationDf) {
    await enter(send);
    requireDone("CREATE FILE of DF 5015", await send(createFile(make.applicationDf)));
  }
  await enter(send, FILE.APPLICATION);
  await writeFile(send, make, FILE.TOKEN_INFO, make.sizes.tokenInfo, tokenInfo(contents));
  for (const { kind, id, size } of make.directories) {
    await writeFile(send, make, id, size, kind === "authentication" ? aodf(contents) : new Uint8Array());
  }
}

/** Makes a directory below the master file the current one, or without identifiers the master file. */
export async function enter(send: Send, ...ids: readonly number[]): Promise<ResponseApdu> {
  const path = pathOf(...ids);
  const command =
    ids.length === 0
      ? select(SELECT_BY.FILE_ID, path, SELECT_ANSWER.FCI)
      : select(SELECT_BY.PATH_FROM_MF, path.subarray(2), SELECT_ANSWER.NOTHING);
  const answer = await send(command);
  if (!selected(answer)) throw new StatusError("SELECT of a directory", answer.sw);
  return answer;
}

/** Creates a file in the current directory. @param bytes Fewer than 256. */
async function writeFile(send: Send, make: Initialisation, id: number, size: number, bytes: Uint8Array): Promise<void> {
  const name = id.toString(16).toUpperCase();
  if (bytes.length > size) throw new CardError(`file ${name} has no room for its ${bytes.length} bytes`);
  requireDone(`CREATE FILE of ${name}`, await send(createFile(make.file(id, size))));
  if (bytes.length === 0) return;
  requireDone(`UPDATE BINARY of ${name}`, await send(updateBinary(0, bytes)));
}

/** @throws {StatusError} and the others of {@link writeFailure}. */
export function requireDone(action: string, { sw }: ResponseApdu): void {
  if (sw !== SW.OK) throw writeFailure(action, sw);
}
