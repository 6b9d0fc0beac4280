import { concatSecret, wipe } from "../../bytes/index.ts";
import type { Application } from "../application.ts";
import { requireBytes } from "../arguments.ts";
import type { Cipher } from "../mechanisms/family.ts";
import { decryptOperation, encryptOperation, keyedInit } from "./key-use.ts";

// C_Encrypt and C_Decrypt are one work in two directions.

type Direction = "encrypt" | "decrypt";

/** All in one call. */
function transform(
  application: Application,
  handle: number,
  direction: Direction,
  data: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(
    handle,
    ({ operations }) => {
      operations.get(direction).requireWhole();
      return operations.finish(direction, ({ stream }) => {
        requireBytes(data, "the data");
        return whole(stream, data, signal);
      });
    },
    signal,
  );
}

/** What a cipher makes of all of a message: nothing else of it stays behind. */
export async function whole(stream: Cipher, data: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
  const first = stream.update(data);
  try {
    const last = await stream.final(signal);
    if (first.length === 0) return last;
    const all = concatSecret(first, last);
    wipe(last);
    return all;
  } finally {
    wipe(first);
  }
}

function transformPart(
  application: Application,
  handle: number,
  direction: Direction,
  part: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(
    handle,
    ({ operations }) =>
      operations.step(direction, (operation) => {
        requireBytes(part, "the part");
        return operation.begin().update(part);
      }),
    signal,
  );
}

function transformFinal(
  application: Application,
  handle: number,
  direction: Direction,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(
    handle,
    ({ operations }) => operations.finish(direction, ({ stream }) => stream.final(signal)),
    signal,
  );
}

export const encryptInit = keyedInit("encrypt", "encrypt", encryptOperation);

export const encrypt = (
  application: Application,
  handle: number,
  data: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> => transform(application, handle, "encrypt", data, signal);

export const encryptUpdate = (
  application: Application,
  handle: number,
  part: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> => transformPart(application, handle, "encrypt", part, signal);

export const encryptFinal = (application: Application, handle: number, signal?: AbortSignal): Promise<Uint8Array> =>
  transformFinal(application, handle, "encrypt", signal);

export const decryptInit = keyedInit("decrypt", "decrypt", decryptOperation);

export const decrypt = (
  application: Application,
  handle: number,
  data: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> => transform(application, handle, "decrypt", data, signal);

export const decryptUpdate = (
  application: Application,
  handle: number,
  part: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> => transformPart(application, handle, "decrypt", part, signal);

export const decryptFinal = (application: Application, handle: number, signal?: AbortSignal): Promise<Uint8Array> =>
  transformFinal(application, handle, "decrypt", signal);
