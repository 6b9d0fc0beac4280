import type { Application } from "../application.ts";
import { transform, transformFinal, transformPart } from "./cipher.ts";
import { keyedInit } from "./initialise.ts";
import { decryptOperation } from "./key-operation.ts";

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
