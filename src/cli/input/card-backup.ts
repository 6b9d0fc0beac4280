import { MalformedAnswerError } from "../../apdu/index.ts";
import { DataError, equalBytes, fromHex, toHex } from "../../bytes/index.ts";
import {
  CardError,
  type CardObject,
  type CardPrivateKey,
  type CardPublicKey,
  type CardToken,
  type NewCardObject,
  UnsupportedError,
} from "../../card/index.ts";
import { FileError } from "../output/failures.ts";

const FORMAT = "cryptoki-card-backup";
const VERSION = 1;

/** What can leave a card. Values are base64, CKA_IDs hexadecimal. */
export interface CardBackup {
  readonly format: typeof FORMAT;
  readonly version: typeof VERSION;
  readonly token: { readonly label: string; readonly serialNumber: string; readonly model: string };
  /** `wrapped` is encrypted with the card's DKEK; `publicKey` is SubjectPublicKeyInfo. */
  readonly keys: readonly {
    readonly id: string;
    readonly label: string;
    readonly publicKey: string;
    readonly wrapped: string;
  }[];
  readonly certificates: readonly { readonly id: string; readonly label: string; readonly value: string }[];
  readonly data: readonly {
    readonly label: string;
    readonly application: string;
    readonly objectId?: string;
    readonly private: boolean;
    readonly value: string;
  }[];
  /** What stays on the card, and why. */
  readonly left: readonly { readonly class: string; readonly label: string; readonly reason: string }[];
}

/** How many objects a restoration wrote, and how many were there already. */
export interface Restored {
  readonly written: number;
  readonly present: number;
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"));

/** Copies what can leave the card. The user must be logged in. */
export async function backUp(token: CardToken, signal: AbortSignal): Promise<CardBackup> {
  const { label, serialNumber, model } = await token.info();
  const keys: CardBackup["keys"][number][] = [];
  const certificates: CardBackup["certificates"][number][] = [];
  const data: CardBackup["data"][number][] = [];
  const left: CardBackup["left"][number][] = [];
  for (const object of await token.objects()) {
    if (object.class === "public-key" || !(await object.isPresent({ explicitlyRequested: false }))) continue;
    try {
      if (object.class === "private-key") keys.push(await wrapped(token, object, signal));
      if (object.class === "certificate") {
        certificates.push({ id: toHex(object.id), label: object.label, value: base64(await object.value()) });
      }
      if (object.class === "data") {
        const { application, objectId } = object;
        const named = { label: object.label, application, ...(objectId !== undefined && { objectId }) };
        data.push({ ...named, private: object.private, value: base64(await object.value()) });
      }
    } catch (error) {
      // A transport error is none of the object's.
      if (!(error instanceof CardError)) throw error;
      left.push({ class: object.class, label: object.label, reason: error.message });
    }
  }
  return { format: FORMAT, version: VERSION, token: { label, serialNumber, model }, keys, certificates, data, left };
}

async function wrapped(
  { keyWrapping }: CardToken,
  key: CardPrivateKey,
  signal: AbortSignal,
): Promise<CardBackup["keys"][number]> {
  if (!keyWrapping) throw new UnsupportedError("keys of this make of card cannot leave it");
  const publicKey = base64(await key.publicKey());
  return { id: toHex(key.id), label: key.label, publicKey, wrapped: base64(await keyWrapping.wrap(key, { signal })) };
}

/**
 * Writes a backup on a card. What is there already is left alone: after an interruption the same call completes it.
 * @throws {CardError} if the card has another key with one of the CKA_IDs, cannot hold the keys, or has no room.
 */
export async function restore(token: CardToken, backup: CardBackup, signal: AbortSignal): Promise<Restored> {
  let written = 0;
  let present = 0;
  const count = (isNew: boolean): void => {
    if (isNew) written++;
    else present++;
  };
  for (const key of backup.keys) count(await restoreKey(token, key, signal));
  const { certificates, data } = backup;
  for (const one of certificates) {
    const value = bytesOf(one.value);
    const id = fromHex(one.id);
    const object = { class: "certificate", label: one.label, private: false, id, value } as const;
    count(await restoreObject(token, object, (old) => old.class === "certificate" && equalBytes(old.id, id), signal));
  }
  for (const { value, ...named } of data) {
    const object = { class: "data", ...named, value: bytesOf(value) } as const;
    const isSame = (old: CardObject): boolean =>
      old.class === "data" && old.label === object.label && old.application === object.application;
    count(await restoreObject(token, object, isSame, signal));
  }
  return { written, present };
}

/** @returns Whether it was written. */
async function restoreKey(token: CardToken, key: CardBackup["keys"][number], signal: AbortSignal): Promise<boolean> {
  const { keyWrapping } = token;
  if (!keyWrapping) throw new UnsupportedError("this make of card takes no keys of a backup");
  const found = (await token.objects()).filter((object) => toHex(object.id) === key.id);
  const publicKey = found.find((object) => object.class === "public-key");
  if (publicKey?.class === "public-key" && found.some((object) => object.class === "private-key")) {
    const present = await readIfWhole(publicKey);
    if (present && equalBytes(present, bytesOf(key.publicKey))) return false;
    if (present) throw new UnsupportedError(`another key with the CKA_ID ${key.id} is on the card`);
  }
  await keyWrapping.unwrap(bytesOf(key.wrapped), { signal });
  return true;
}

/** Undefined if an interruption left a part of the file, which the unwrapping completes. */
async function readIfWhole(key: CardPublicKey): Promise<Uint8Array | undefined> {
  try {
    return await key.publicKey();
  } catch (error) {
    if (error instanceof MalformedAnswerError) return undefined;
    throw error;
  }
}

/** @param isSame Whether an object on the card has the same name. @returns Whether it was written. */
async function restoreObject(
  token: CardToken,
  object: Extract<NewCardObject, { readonly class: "certificate" | "data" }>,
  isSame: (object: CardObject) => boolean,
  signal: AbortSignal,
): Promise<boolean> {
  for (const old of (await token.objects()).filter(isSame)) {
    const hasValue = old.class === "certificate" || old.class === "data";
    if (hasValue && (await old.isPresent({ explicitlyRequested: true })) && equalBytes(await old.value(), object.value))
      return false;
  }
  if (!token.createObject) throw new UnsupportedError("objects of this card cannot be written");
  await token.createObject(object, { signal });
  return true;
}

/** Parses the text of a backup. @throws {FileError} for any other text. */
export function parseBackup(text: string, file: string): CardBackup {
  try {
    const backup = JSON.parse(text) as Partial<CardBackup> | null;
    if (backup?.format !== FORMAT) throw new DataError("not a backup of cryptoki card backup");
    if (backup.version !== VERSION) throw new DataError(`version ${String(backup.version)} of the format; known is 1`);
    const { keys, certificates, data } = backup;
    requireTexts("keys", keys, ["id", "publicKey", "wrapped"]);
    requireTexts("certificates", certificates, ["id", "label", "value"]);
    requireTexts("data", data, ["label", "application", "value"]);
    return backup as CardBackup;
  } catch (cause) {
    if (!(cause instanceof DataError || cause instanceof SyntaxError)) throw cause;
    const why = cause instanceof DataError ? cause.message : "not JSON";
    throw new FileError(`${file}: ${why}`, { cause });
  }
}

function requireTexts(name: string, list: unknown, fields: readonly string[]): void {
  if (!Array.isArray(list)) throw new DataError(`no list "${name}"`);
  for (const [index, entry] of list.entries()) {
    for (const field of fields) {
      const value = (entry as Record<string, unknown> | null)?.[field];
      if (typeof value !== "string") throw new DataError(`${name}[${index}] has no text "${field}"`);
      if (field === "id" && !/^([0-9a-f]{2})*$/u.test(value))
        throw new DataError(`${name}[${index}].id: not hexadecimal`);
    }
  }
}
