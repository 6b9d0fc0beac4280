import { readTlvs } from "../../apdu/index.ts";
import { derOid } from "../../asn1/index.ts";
import { DataError } from "../../bytes/index.ts";
import { CKA, CKO, type Template } from "../../cryptoki/index.ts";
import { CONTAINER, type Container } from "../../piv/index.ts";
import { FileError, NotFoundError, UsageError } from "../output/failures.ts";
import type { ObjectEntry, TokenSession } from "../session.ts";
import { referenceOf } from "./key-place.ts";
import type { Token } from "./token.ts";

/** A data object of a PIV card. */
export interface PivObject extends Container {
  /** As the command line names it: "chuid". */
  readonly word: string;
}

/** Data objects of PIV by the command line's names, in the order of the standard (SP 800-73-4 part 1 table 2). */
export const PIV_OBJECTS: readonly PivObject[] = Object.entries(CONTAINER).map(([name, container]) => ({
  ...container,
  word: name.toLowerCase().replaceAll("_", "-"),
}));

/** A data object that the command line names: one of PIV's, or by its label. */
export interface NamedObject {
  readonly word: string;
  /** Undefined on cards with labels. */
  readonly piv: PivObject | undefined;
  /** What C_FindObjectsInit looks for. */
  readonly template: Template;
}

/** @throws {UsageError} for a name that PIV does not have, on a PIV card. */
export function namedObject(token: Token, name: string): NamedObject {
  if (referenceOf(token, Uint8Array.of(1)) === undefined) {
    return { word: name, piv: undefined, template: { [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: name } };
  }
  const found = PIV_OBJECTS.find(({ word, name: label }) => word === name.toLowerCase() || label === name);
  if (found) return { word: found.word, piv: found, template: templateOf(found) };
  throw new UsageError(`a PIV card has no data object ${name}; it has`, {
    candidates: PIV_OBJECTS.map(({ word }) => word),
  });
}

export const templateOf = ({ objectId }: Container): Template => ({
  [CKA.CLASS]: CKO.DATA,
  [CKA.OBJECT_ID]: derOid(objectId),
});

/**
 * The object on the token; the PIN is asked for where only its owner sees it.
 * @throws {NotFoundError} if there is none; {@link UsageError} if several have the label.
 */
export async function requireObject(session: TokenSession, object: NamedObject): Promise<ObjectEntry> {
  const found = await findObject(session, object);
  if (found) return found;
  throw new NotFoundError(`there is no data object ${object.word} on the token; see: cryptoki object list`);
}

/** As {@link requireObject}; undefined if there is none. */
export async function findObject(session: TokenSession, object: NamedObject): Promise<ObjectEntry | undefined> {
  if (object.piv?.pin) await session.login();
  let [first, ...more] = await session.find(object.template);
  if (!first && !object.piv) {
    await session.login();
    [first, ...more] = await session.find(object.template);
  }
  if (more.length === 0) return first;
  throw new UsageError(
    `${more.length + 1} data objects have the label ${object.word}; use read, import and delete with a URI`,
  );
}

/**
 * Checks what is to be in a data object of a PIV card: data objects in BER-TLV, without the outer one (tag 53).
 * @throws {FileError} for anything else.
 */
export function checkContents(file: string, bytes: Uint8Array): void {
  if (bytes[0] === 0x53) throw new FileError(`${file}: leave out the outer tag 53 and its length; the card adds them`);
  try {
    readTlvs(bytes, file);
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new FileError(`${file} holds no data objects in BER-TLV, as PIV wants them: ${cause.message}`, { cause });
  }
}
